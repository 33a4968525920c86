import java.text.SimpleDateFormat;
import java.util.Arrays;
import java.util.Date;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** One member that is pushed to: filters, order, where to begin, what is remembered. */
final class Consuming {
    private Consuming() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("push_concurrent", Consuming::concurrent);
        scenarios.put("push_orderly", Consuming::orderly);
        scenarios.put("tag_filter", Consuming::tagFilter);
        scenarios.put("offsets_over_restart", Consuming::offsetsOverRestart);
        scenarios.put("consume_from_first", Consuming::fromFirst);
        scenarios.put("consume_from_last", stage -> fromLater(stage, false));
        scenarios.put("consume_from_timestamp", stage -> fromLater(stage, true));
        scenarios.put("namespace_v1", Consuming::namespace);
    }

    private static void concurrent(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = stage.sendMany("before", 50);
        stage.concurrent("a");
        sent.addAll(stage.sendMany("after", 150));
        stage.received.awaitBodies(20, sent);
        // Nothing comes twice to a member that is alone.
        Thread.sleep(500);
        Stage.same(200, stage.received.count(), "deliveries");
    }

    private static void orderly(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = new LinkedHashSet<>();
        stage.orderly("a");
        for (int number = 0; number < 200; number++) {
            String body = number % 7 + ":" + number;
            stage.producer().send(stage.message(body), (all, message, key) -> all.get((Integer) key % all.size()),
                number % 7);
            sent.add(body);
        }
        stage.received.awaitBodies(40, sent);
        stage.checkOrderPerQueue();
        Stage.same(200, stage.received.count(), "deliveries");
    }

    private static void tagFilter(Stage stage) throws Exception {
        stage.create();
        for (int number = 0; number < 90; number++) {
            Message message = stage.message("tagged-" + number);
            if (number % 4 != 3) {
                message.setTags(new String[] {"A", "B", "C"}[number % 4]);
            }
            stage.send(message);
        }
        DefaultMQPushConsumer consumer = stage.newConsumer("A || B");
        consumer.registerMessageListener(stage.collecting("a"));
        stage.start(consumer);
        Set<String> wanted = new HashSet<>();
        for (int number = 0; number < 90; number++) {
            if (number % 4 < 2) {
                wanted.add("tagged-" + number);
            }
        }
        stage.received.awaitBodies(20, wanted);
        Thread.sleep(500);
        Stage.same(wanted, new HashSet<>(stage.received.bodies()), "bodies");
    }

    private static void offsetsOverRestart(Stage stage) throws Exception {
        stage.create();
        Set<String> first = stage.sendMany("first", 40);
        DefaultMQPushConsumer one = stage.concurrent("one");
        stage.received.awaitBodies(20, first);
        // A member that leaves commits what it has consumed; the last listener has to return for that.
        Thread.sleep(500);
        one.shutdown();
        Set<String> second = stage.sendMany("second", 40);
        stage.concurrent("two");
        stage.received.awaitBodies(20, second);
        Thread.sleep(500);
        Stage.same(second, stage.received.bodies("two"), "bodies after the restart");
    }

    private static void fromFirst(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = stage.sendMany("old", 20);
        stage.concurrent("a");
        sent.addAll(stage.sendMany("new", 20));
        stage.received.awaitBodies(20, sent);
        Stage.same(40, stage.received.count(), "deliveries");
    }

    /**
     * A new group that asks for the end, or for a moment. RocketMQ answers such a group's first offset query with 0 while
     * a queue still holds its very first message in memory, so on a young topic the old ones come as well.
     */
    private static void fromLater(Stage stage, boolean timestamp) throws Exception {
        stage.create();
        Set<String> old = stage.sendMany("old", 20);
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        if (timestamp) {
            Thread.sleep(2_100);
            String moment = new SimpleDateFormat("yyyyMMddHHmmss").format(new Date());
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_TIMESTAMP);
            consumer.setConsumeTimestamp(moment);
        } else {
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        }
        Set<String> wanted = timestamp ? stage.sendMany("new", 20) : new LinkedHashSet<>();
        consumer.registerMessageListener(stage.collecting("a"));
        stage.start(consumer);
        if (!timestamp) {
            Thread.sleep(2_000);
        }
        wanted.addAll(stage.sendMany("later", 20));
        stage.received.awaitBodies(20, wanted);
        Thread.sleep(500);
        Set<String> early = new HashSet<>(stage.received.bodies());
        early.removeAll(wanted);
        stage.figures.put("old_received", early.size());
        Stage.check(early.isEmpty() || early.equals(old), "some of the old ones came: " + early);
        Stage.same(wanted.size() + early.size(), stage.received.count(), "deliveries");
    }

    @SuppressWarnings("deprecation")
    private static void namespace(Stage stage) throws Exception {
        org.apache.rocketmq.client.producer.DefaultMQProducer producer = stage.newProducer();
        producer.setNamespace("ns1");
        stage.start(producer);
        Stage.create(producer, stage.topic);
        Stage.send(producer, stage.message("inside"));
        DefaultMQPushConsumer inside = new DefaultMQPushConsumer(stage.group);
        inside.setNamesrvAddr(stage.namesrv);
        inside.setInstanceName(stage.instance());
        inside.setPollNameServerInterval(Stage.ROUTE_MILLIS);
        inside.setHeartbeatBrokerInterval(Stage.HEARTBEAT_MILLIS);
        inside.setNamespace("ns1");
        inside.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        inside.subscribe(stage.topic, "*");
        inside.registerMessageListener((org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently)
            (messages, context) -> {
                boolean retry = false;
                for (org.apache.rocketmq.common.message.MessageExt each : messages) {
                    retry |= stage.received.add("inside", each) && each.getReconsumeTimes() == 0;
                }
                context.setDelayLevelWhenNextConsume(1);
                return retry ? org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus.RECONSUME_LATER
                    : org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        stage.start(inside);
        stage.received.await(30, "a delivery and its retry", each -> each.count() == 2);
        for (Received.Delivery each : stage.received.all()) {
            Stage.same(stage.topic, each.message.getTopic(), "topic as a member of the namespace sees it");
        }
        Received outside = new Received();
        DefaultMQPushConsumer raw = new DefaultMQPushConsumer(stage.group + "_outside");
        raw.setNamesrvAddr(stage.namesrv);
        raw.setInstanceName(stage.instance());
        raw.setHeartbeatBrokerInterval(Stage.HEARTBEAT_MILLIS);
        raw.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        raw.subscribe("ns1%" + stage.topic, "*");
        raw.registerMessageListener((org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently)
            (messages, context) -> {
                messages.forEach(each -> outside.add("outside", each));
                return org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        stage.start(raw);
        outside.awaitBodies(20, new HashSet<>(Arrays.asList("inside")));
        Stage.same("ns1%" + stage.topic, outside.all().get(0).message.getTopic(), "topic as others see it");
    }
}
