import io.openmessaging.BytesMessage;
import io.openmessaging.Future;
import io.openmessaging.Message;
import io.openmessaging.MessagingAccessPoint;
import io.openmessaging.OMS;
import io.openmessaging.OMSBuiltinKeys;
import io.openmessaging.consumer.PullConsumer;
import io.openmessaging.consumer.PushConsumer;
import io.openmessaging.producer.Producer;
import io.openmessaging.producer.SendResult;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/** OpenMessaging's Java client over RocketMQ: each scenario is one line of JSON. */
public final class OpenMessagingScenarios {
    private interface Scenario {
        void run(MessagingAccessPoint point, String topic, String group) throws Exception;
    }

    public static void main(String[] args) {
        MessagingAccessPoint point = OMS.getMessagingAccessPoint("oms:rocketmq://" + args[0] + "/default:default");
        point.startup();
        run("produce", args[1], point, OpenMessagingScenarios::produce);
        run("push", args[1], point, OpenMessagingScenarios::push);
        run("redelivery", args[1], point, OpenMessagingScenarios::redelivery);
        run("pull", args[1], point, OpenMessagingScenarios::pull);
        Runtime.getRuntime().halt(0);
    }

    private static void run(String name, String prefix, MessagingAccessPoint point, Scenario scenario) {
        long began = System.nanoTime();
        String outcome = "ok";
        String message = "";
        try {
            scenario.run(point, prefix + "_oms_" + name, prefix + "_oms_group_" + name);
        } catch (Throwable error) {
            outcome = "failed";
            message = error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", "'");
            error.printStackTrace();
        }
        System.out.printf("{\"name\":\"%s\",\"outcome\":\"%s\",\"seconds\":%.1f,\"message\":\"%s\"}%n",
            name, outcome, (System.nanoTime() - began) / 1e9, message);
    }

    private static Producer producer(MessagingAccessPoint point) {
        Producer producer = point.createProducer();
        producer.startup();
        return producer;
    }

    private static BytesMessage message(Producer producer, String topic, String body) {
        return producer.createBytesMessage(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    private static void check(boolean right, String what) {
        if (!right) {
            throw new IllegalStateException(what);
        }
    }

    private static void produce(MessagingAccessPoint point, String topic, String group) throws Exception {
        Producer producer = producer(point);
        Set<String> ids = new TreeSet<>();
        SendResult sent = producer.send(message(producer, topic, "sync"));
        ids.add(sent.messageId());
        Future<SendResult> future = producer.sendAsync(message(producer, topic, "async"));
        ids.add(future.get(10_000).messageId());
        producer.sendOneway(message(producer, topic, "oneway"));
        check(ids.size() == 2, "ids " + ids);
        Map<String, Message> found = new ConcurrentHashMap<>();
        PushConsumer consumer = consumer(point, topic, group, found, 0);
        await(found, 3);
        consumer.shutdown();
        check(found.get("sync").sysHeaders().getString("MESSAGE_ID").equals(sent.messageId()), "another id");
        producer.shutdown();
    }

    private static PushConsumer consumer(
        MessagingAccessPoint point, String topic, String group, Map<String, Message> found, int refusals) {
        PushConsumer consumer = point.createPushConsumer(
            OMS.newKeyValue().put(OMSBuiltinKeys.CONSUMER_ID, group));
        Map<String, Integer> refused = new ConcurrentHashMap<>();
        consumer.attachQueue(topic, (message, context) -> {
            String body = new String(message.getBody(byte[].class), StandardCharsets.UTF_8);
            if (refused.merge(body, 1, Integer::sum) <= refusals) {
                throw new IllegalStateException("not yet");
            }
            found.put(body, message);
            context.ack();
        });
        consumer.startup();
        return consumer;
    }

    private static void await(Map<String, Message> found, int count) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        while (found.size() < count && System.nanoTime() < end) {
            Thread.sleep(50);
        }
        check(found.size() == count, "expected " + count + " messages, got " + found.keySet());
    }

    private static void push(MessagingAccessPoint point, String topic, String group) throws Exception {
        Producer producer = producer(point);
        for (int number = 0; number < 20; number++) {
            Message message = message(producer, topic, "message " + number);
            message.putUserHeaders("number", number);
            producer.send(message);
        }
        Map<String, Message> found = new ConcurrentHashMap<>();
        PushConsumer consumer = consumer(point, topic, group, found, 0);
        await(found, 20);
        check("7".equals(found.get("message 7").userHeaders().getString("number")), "user header");
        check(topic.equals(found.get("message 7").sysHeaders().getString("DESTINATION")), "destination");
        consumer.shutdown();
        producer.shutdown();
    }

    private static void redelivery(MessagingAccessPoint point, String topic, String group) throws Exception {
        Producer producer = producer(point);
        producer.send(message(producer, topic, "twice"));
        Map<String, Message> found = new ConcurrentHashMap<>();
        PushConsumer consumer = consumer(point, topic, group, found, 1);
        await(found, 1);
        consumer.shutdown();
        producer.shutdown();
    }

    private static void pull(MessagingAccessPoint point, String topic, String group) throws Exception {
        Producer producer = producer(point);
        // RocketMQ 5 tells a new group no offset of an empty queue, and this client never asks again: there is something in
        // each of the four, though the producer begins at another one whenever it learns the topic's route anew.
        for (int number = 0; number < 12; number++) {
            producer.send(message(producer, topic, "before " + number));
        }
        PullConsumer consumer = point.createPullConsumer(
            OMS.newKeyValue().put(OMSBuiltinKeys.CONSUMER_ID, group));
        consumer.attachQueue(topic);
        consumer.startup();
        Set<String> bodies = new TreeSet<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        int sent = 0;
        while (bodies.size() < 22 && System.nanoTime() < end) {
            if (sent < 10) {
                producer.send(message(producer, topic, "pulled " + sent++));
            }
            Message message = consumer.receive(OMS.newKeyValue().put("TIMEOUT", 2000));
            if (message != null) {
                bodies.add(new String(message.getBody(byte[].class), StandardCharsets.UTF_8));
                consumer.ack(message.sysHeaders().getString("MESSAGE_ID"));
            }
        }
        check(bodies.size() == 22, "got " + bodies);
        consumer.shutdown();
        producer.shutdown();
    }
}
