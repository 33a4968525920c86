import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What happens to a message that its listener refuses. */
@SuppressWarnings("deprecation")
final class Retrying {
    private Retrying() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("retry_ladder", stage -> retried(stage, 0, 9.5, 29.5));
        scenarios.put("retry_level_chosen", stage -> retried(stage, 1, 0.9, 0.9));
        scenarios.put("dead_letter", Retrying::deadLetter);
        scenarios.put("dead_letter_at_once", Retrying::deadLetterAtOnce);
        scenarios.put("orderly_suspend", Retrying::suspend);
        scenarios.put("send_message_back", Retrying::sendBack);
    }

    /** Refuses twice, then accepts; `level` 0 leaves the delay to the broker. */
    private static void retried(Stage stage, int level, double first, double second) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("T");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            boolean again = stage.received.add("a", message) && message.getReconsumeTimes() < 2;
            context.setDelayLevelWhenNextConsume(level);
            return again ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        stage.start(consumer);
        Message message = stage.message("again");
        message.setTags("T");
        message.setKeys("key");
        message.putUserProperty("属性", "值");
        String id = stage.send(message).getMsgId();
        stage.received.await(first + second + 30, "three deliveries", each -> each.count() == 3);
        Thread.sleep(1_500);
        List<Received.Delivery> all = stage.received.all();
        Stage.same(3, all.size(), "deliveries");
        List<Double> delays = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            Received.Delivery each = all.get(number);
            Stage.same(number, each.times, "reconsume times");
            Stage.same(stage.topic, each.message.getTopic(), "topic");
            Stage.same("again", each.body(), "body");
            Stage.same("T", each.message.getTags(), "tag");
            Stage.same("key", each.message.getKeys(), "key");
            Stage.same("值", each.message.getUserProperty("属性"), "property");
            Stage.same(id, each.message.getMsgId(), "message id");
            if (number > 0) {
                delays.add((each.nanos - all.get(number - 1).nanos) / 1e9);
            }
        }
        stage.figures.put("delays_seconds", delays);
        Stage.check(delays.get(0) >= first && delays.get(0) < first + 5, "first delay " + delays.get(0) + " s");
        Stage.check(delays.get(1) >= second && delays.get(1) < second + 5, "second delay " + delays.get(1) + " s");
    }

    /** What lies in the group's dead-letter queue, read by a stranger. */
    private static List<MessageExt> deadLetters(Stage stage, int count) throws Exception {
        List<MessageExt> found = new ArrayList<>();
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer(stage.group + "_reader");
        reader.setNamesrvAddr(stage.namesrv);
        reader.setInstanceName(stage.instance());
        reader.start();
        stage.onClose(reader::shutdown);
        Set<MessageQueue> queues = new HashSet<>();
        Stage.until(30, "the dead-letter topic", () -> {
            try {
                queues.addAll(reader.fetchSubscribeMessageQueues("%DLQ%" + stage.group));
            } catch (Exception unknown) {
                return false;
            }
            return !queues.isEmpty();
        });
        Stage.same(1, queues.size(), "queues of the dead-letter topic");
        MessageQueue queue = queues.iterator().next();
        Stage.until(30, count + " dead letters", () -> {
            org.apache.rocketmq.client.consumer.PullResult result = reader.pull(queue, "*", found.size(), 32);
            if (result.getPullStatus() == PullStatus.FOUND) {
                found.addAll(result.getMsgFoundList());
            }
            return found.size() >= count;
        });
        return found;
    }

    private static void deadLetter(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        consumer.setMaxReconsumeTimes(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            context.setDelayLevelWhenNextConsume(1);
            return stage.received.add("a", messages.get(0)) ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        stage.start(consumer);
        Message message = stage.message("dead");
        message.setKeys("dead-key");
        String id = stage.send(message).getMsgId();
        stage.received.await(30, "a delivery and its retry", each -> each.count() == 2);
        MessageExt dead = deadLetters(stage, 1).get(0);
        Stage.same("dead", Received.text(dead), "body");
        Stage.same("%DLQ%" + stage.group, dead.getTopic(), "topic");
        Stage.same("dead-key", dead.getKeys(), "key");
        Stage.same(stage.topic, dead.getProperty("RETRY_TOPIC"), "property RETRY_TOPIC");
        stage.figures.put("reconsume_times", dead.getReconsumeTimes());
        stage.figures.put("dlq_properties", String.valueOf(dead.getProperties()));
        Stage.same(id, dead.getMsgId(), "message id");
        Thread.sleep(1_500);
        Stage.same(2, stage.received.count(), "deliveries");
    }

    private static void deadLetterAtOnce(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            // RocketMQ's way to say: no retry, to the dead letters.
            context.setDelayLevelWhenNextConsume(-1);
            return stage.received.add("a", messages.get(0)) ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        stage.start(consumer);
        Set<String> sent = stage.sendMany("hopeless", 3);
        Set<String> dead = new LinkedHashSet<>();
        deadLetters(stage, 3).forEach(each -> dead.add(Received.text(each)));
        Stage.same(sent, dead, "dead letters");
        Stage.same(3, stage.received.count(), "deliveries");
    }

    private static void suspend(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            MessageExt message = messages.get(0);
            boolean counted = stage.received.add("a", message);
            if (counted && Received.text(message).equals("ordered-1") && message.getReconsumeTimes() < 2) {
                context.setSuspendCurrentQueueTimeMillis(300);
                return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        stage.start(consumer);
        for (int number = 0; number < 4; number++) {
            stage.producer().send(stage.message("ordered-" + number), (all, message, argument) -> all.get(0), null);
        }
        stage.received.await(30, "six deliveries", each -> each.count() == 6);
        List<String> bodies = new ArrayList<>();
        stage.received.all().forEach(each -> bodies.add(each.body() + "/" + each.times));
        Stage.same(Arrays.asList("ordered-0/0", "ordered-1/0", "ordered-1/1", "ordered-1/2", "ordered-2/0",
            "ordered-3/0"), bodies, "order of deliveries");
    }

    /** A pull consumer hands a message back; its group gets it again. */
    private static void sendBack(Stage stage) throws Exception {
        stage.create();
        DefaultMQPullConsumer puller = stage.pullConsumer();
        MessageQueue queue = stage.send(stage.message("back")).getMessageQueue();
        List<MessageExt> found = new ArrayList<>();
        Stage.until(10, "the message in its queue", () -> {
            List<MessageExt> all = puller.pull(queue, "*", 0, 32).getMsgFoundList();
            found.clear();
            if (all != null) {
                all.stream().filter(each -> Received.text(each).equals("back")).forEach(found::add);
            }
            return found.size() == 1;
        });
        puller.sendMessageBack(found.get(0), 1);
        puller.shutdown();
        stage.concurrent("a");
        stage.received.await(30, "the retry", each -> each.all().stream().anyMatch(one -> one.times == 1));
        Stage.check(stage.received.bodies().equals(new HashSet<>(Arrays.asList("back"))), "other bodies");
    }
}
