import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Questions about queues and messages, and requests that no server knows. */
@SuppressWarnings("deprecation")
final class Asking {
    private static final int REQUEST_CODE_NOT_SUPPORTED = 3;
    private static final int QUERY_NOT_FOUND = 22;
    private static final int TOPIC_NOT_EXIST = 17;
    private static final int QUERY_CONSUMER_OFFSET = 14;
    private static final int GET_ROUTEINFO_BY_TOPIC = 105;

    private Asking() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("queue_offsets", Asking::queueOffsets);
        scenarios.put("view_and_query_message", Asking::viewAndQuery);
        scenarios.put("unsupported_code", Asking::unsupported);
        scenarios.put("unknown_topic", Asking::unknownTopic);
        scenarios.put("offset_not_found", Asking::offsetNotFound);
    }

    private static void queueOffsets(Stage stage) throws Exception {
        stage.create();
        MessageQueue queue = stage.producer().fetchPublishMessageQueues(stage.topic).get(3);
        DefaultMQPullConsumer asker = stage.pullConsumer();
        long before = asker.maxOffset(queue);
        Thread.sleep(300);
        long[] moments = new long[4];
        for (int number = 0; number < 4; number++) {
            moments[number] = System.currentTimeMillis();
            stage.producer().send(stage.message("timed-" + number), (all, message, one) -> (MessageQueue) one, queue);
            Thread.sleep(300);
        }
        // The consume queue is built a moment after the send.
        Stage.until(5, "the end of the queue", () -> asker.maxOffset(queue) == before + 4);
        Stage.same(0L, asker.minOffset(queue), "min offset");
        for (int number = 0; number < 4; number++) {
            Stage.same(before + number, asker.searchOffset(queue, moments[number] - 50), "offset of moment " + number);
        }
        Stage.same(0L, asker.searchOffset(queue, moments[0] - 3_600_000), "offset of an hour ago");
        long future = asker.searchOffset(queue, System.currentTimeMillis() + 3_600_000);
        stage.figures.put("future_minus_max", future - (before + 4));
        Stage.check(future == before + 4 || future == before + 3, "offset of the future: " + future);
        Stage.check(asker.earliestMsgStoreTime(queue) > 0, "store time of the first message");
    }

    private static void viewAndQuery(Stage stage) throws Exception {
        Message message = stage.message("viewed 看");
        message.setKeys(stage.topic + "-key other-key");
        SendResult result = stage.send(message);
        MessageExt viewed = stage.producer().viewMessage(stage.topic, result.getOffsetMsgId());
        Stage.same("viewed 看", Received.text(viewed), "body by offset message id");
        Stage.same(result.getQueueOffset(), viewed.getQueueOffset(), "queue offset");
        for (String key : new String[] {stage.topic + "-key", "other-key", result.getMsgId()}) {
            boolean unique = key.equals(result.getMsgId());
            Stage.until(15, "the index of " + key, () -> {
                try {
                    if (unique) {
                        return Received.text(stage.producer().viewMessage(stage.topic, key)).equals("viewed 看");
                    }
                    QueryResult found = stage.producer().queryMessage(stage.topic, key, 10, 0, Long.MAX_VALUE);
                    return found.getMessageList().size() == 1
                        && Received.text(found.getMessageList().get(0)).equals("viewed 看");
                } catch (MQClientException none) {
                    return false;
                }
            });
        }
    }

    private static void unsupported(Stage stage) throws Exception {
        stage.create();
        Wire wire = new Wire(stage, stage.producer());
        MessageQueue queue = stage.producer().fetchPublishMessageQueues(stage.topic).get(0);
        RemotingCommand reply = wire.ask(wire.brokerOf(queue), 29_999, Wire.fields("a", "b"), "body");
        Stage.same(REQUEST_CODE_NOT_SUPPORTED, reply.getCode(), "code");
        stage.figures.put("remark", String.valueOf(reply.getRemark()));
        Stage.check(String.valueOf(reply.getRemark()).contains("29999"), "the remark names no code: " + reply.getRemark());
        // The connection is still good.
        stage.send(stage.message("after"));
    }

    private static void unknownTopic(Stage stage) throws Exception {
        Wire wire = new Wire(stage, stage.producer());
        RemotingCommand reply = wire.askNameServer(GET_ROUTEINFO_BY_TOPIC, Wire.fields("topic", stage.topic + "_none"));
        Stage.same(TOPIC_NOT_EXIST, reply.getCode(), "code of a route that is not there");
        stage.figures.put("remark", String.valueOf(reply.getRemark()));
        Message message = new Message("bad topic!", "x".getBytes(StandardCharsets.UTF_8));
        try {
            stage.producer().send(message);
            throw new Scenario.Broken("a bad topic name was taken");
        } catch (MQClientException refused) {
            stage.figures.put("refused", refused.getErrorMessage());
        }
    }

    private static void offsetNotFound(Stage stage) throws Exception {
        stage.create();
        Wire wire = new Wire(stage, stage.producer());
        Set<Integer> codes = new HashSet<>();
        for (MessageQueue queue : stage.producer().fetchPublishMessageQueues(stage.topic)) {
            codes.add(wire.ask(wire.brokerOf(queue), QUERY_CONSUMER_OFFSET, Wire.fields("consumerGroup", stage.group,
                "topic", stage.topic, "queueId", String.valueOf(queue.getQueueId()), "setZeroIfNotFound", "false"),
                null).getCode());
        }
        Stage.same(new HashSet<>(Arrays.asList(QUERY_NOT_FOUND)), codes, "codes for a group that has no offset yet");
    }
}
