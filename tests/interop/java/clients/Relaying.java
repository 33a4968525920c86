import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What a broker asks of its clients, over several brokers. Run only where they are named: the broker's times must be short. */
final class Relaying {
    static final List<String> NAMES = Arrays.asList("check_back", "request_reply", "all_brokers", "pop_consumer");

    private Relaying() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("check_back", Relaying::checkBack);
        scenarios.put("request_reply", Relaying::requestReply);
        scenarios.put("all_brokers", Relaying::allBrokers);
        scenarios.put("pop_consumer", Relaying::popConsumer);
    }

    /** Half messages on every broker, left undecided, are decided when the broker asks. */
    private static void checkBack(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        Map<String, AtomicInteger> asked = new ConcurrentHashMap<>();
        TransactionMQProducer producer = new TransactionMQProducer(stage.group + "_producer");
        producer.setNamesrvAddr(stage.namesrv);
        producer.setInstanceName("check-back-" + System.nanoTime());
        producer.setPollNameServerInterval(Stage.ROUTE_MILLIS);
        // A broker asks only whom it has heard of; by default that takes up to 30 s.
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String text = Received.text(message);
                asked.computeIfAbsent(text, key -> new AtomicInteger()).incrementAndGet();
                return text.startsWith("yes") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
            }
        });
        producer.start();
        stage.onClose(producer::shutdown);
        Set<String> brokers = new HashSet<>();
        for (int number = 0; number < 16; number++) {
            Message message = stage.message((number % 4 < 2 ? "yes-" : "no-") + number);
            SendResult sent = producer.sendMessageInTransaction(message, null);
            brokers.add(sent.getMessageQueue().getBrokerName());
        }
        Stage.until(60, "a question for each half message", () -> asked.size() == 16);
        Stage.until(20, "the committed", () -> stage.received.bodies().size() == 8);
        Thread.sleep(1_000);
        Stage.check(stage.received.bodies().stream().allMatch(text -> text.startsWith("yes-")), "" + stage.received.bodies());
        stage.figures.put("brokers", brokers.size());
    }

    /** The replier's broker finds the asker's connection. */
    private static void requestReply(Stage stage) throws Exception {
        stage.create();
        DefaultMQProducer replying = stage.producer();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                try {
                    byte[] body = ("reply to " + Received.text(each)).getBytes(StandardCharsets.UTF_8);
                    if (each.getProperty("REPLY_TO_CLIENT") != null) {
                        replying.send(MessageUtil.createReplyMessage(each, body));
                    }
                } catch (Exception error) {
                    System.err.println("no reply: " + error);
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        stage.start(consumer);
        DefaultMQProducer asking = new DefaultMQProducer(stage.group + "_asking");
        asking.setNamesrvAddr(stage.namesrv);
        asking.setInstanceName("asking-" + System.nanoTime());
        asking.setPollNameServerInterval(Stage.ROUTE_MILLIS);
        asking.start();
        stage.onClose(asking::shutdown);
        for (int number = 0; number < 6; number++) {
            Message reply = asking.request(stage.message("question " + number), 20_000);
            Stage.same("reply to question " + number, new String(reply.getBody(), StandardCharsets.UTF_8), "reply");
        }
    }

    /** Every broker of the topic takes messages, each is found again by its offset id, and all arrive once. */
    private static void allBrokers(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        Map<String, String> ids = new HashMap<>();
        Set<String> hosts = new HashSet<>();
        List<MessageQueue> queues = stage.producer().fetchPublishMessageQueues(stage.topic);
        for (MessageQueue queue : queues) {
            String text = queue.getBrokerName() + "/" + queue.getQueueId();
            SendResult sent = stage.producer().send(stage.message(text), (all, message, one) -> (MessageQueue) one, queue);
            ids.put(sent.getOffsetMsgId(), text);
            hosts.add(sent.getOffsetMsgId().substring(0, 16));
        }
        for (Map.Entry<String, String> each : ids.entrySet()) {
            MessageExt found = stage.producer().viewMessage(stage.topic, each.getKey());
            Stage.same(each.getValue(), Received.text(found), "message of " + each.getKey());
        }
        Stage.until(30, "all messages", () -> stage.received.bodies().size() == queues.size());
        stage.figures.put("brokers", hosts.size());
    }

    /** A push consumer whose group is in pop mode (set beforehand); a client that knows none is left out. */
    private static void popConsumer(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        try {
            DefaultMQPushConsumer.class.getMethod("setClientRebalance", boolean.class).invoke(consumer, false);
        } catch (NoSuchMethodException old) {
            throw new Scenario.Skipped("this client has no pop");
        }
        AtomicInteger failures = new AtomicInteger();
        Set<String> done = ConcurrentHashMap.newKeySet();
        Set<String> handles = ConcurrentHashMap.newKeySet();
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt each : messages) {
                String handle = each.getProperty("POP_CK");
                if (handle != null) {
                    handles.add(handle);
                }
                if (Received.text(each).equals("popped-3") && each.getReconsumeTimes() == 0) {
                    failures.incrementAndGet();
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                done.add(Received.text(each));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        stage.start(consumer);
        Set<String> sent = stage.sendMany("popped", 12);
        Stage.until(60, "all messages of " + sent, () -> done.containsAll(sent));
        Stage.check(handles.size() >= 12, "popped, not pulled: " + handles.size());
        stage.figures.put("handles", handles.size());
    }
}
