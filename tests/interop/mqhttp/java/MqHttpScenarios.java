import com.aliyun.mq.http.MQClient;
import com.aliyun.mq.http.MQConsumer;
import com.aliyun.mq.http.MQTransProducer;
import com.aliyun.mq.http.common.AckMessageException;
import com.aliyun.mq.http.common.ServiceException;
import com.aliyun.mq.http.model.ErrorMessageResult;
import com.aliyun.mq.http.model.Message;
import com.aliyun.mq.http.model.TopicMessage;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The Java SDK of the MQ HTTP wire, unchanged: each scenario prints one JSON object a line.
 *
 * Arguments: ENDPOINT all PREFIX, or: none list none.
 */
public final class MqHttpScenarios {
    interface Scenario {
        void run(MQClient client, String name) throws Exception;
    }

    interface Action {
        void run() throws Exception;
    }

    private MqHttpScenarios() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        Map<String, Scenario> scenarios = scenarios();
        if (args[1].equals("list")) {
            out.println(String.join("\n", scenarios.keySet()));
            return;
        }
        MQClient client = new MQClient("http://" + args[0], "key", "secret");
        for (Map.Entry<String, Scenario> one : scenarios.entrySet()) {
            long began = System.nanoTime();
            String outcome = "ok";
            String message = "";
            try {
                one.getValue().run(client, args[2] + "_" + one.getKey());
            } catch (Throwable wrong) {
                outcome = "failed";
                message = String.valueOf(wrong).replaceAll("[\"\\\\\\p{Cntrl}]", "?");
                wrong.printStackTrace();
            }
            out.printf("{\"name\": \"%s\", \"outcome\": \"%s\", \"seconds\": %.3f, \"message\": \"%s\"}%n",
                one.getKey(), outcome, (System.nanoTime() - began) / 1e9, message);
        }
        client.close();
        System.exit(0);
    }

    private static Map<String, Scenario> scenarios() {
        Map<String, Scenario> all = new LinkedHashMap<>();
        all.put("publish_consume_ack", MqHttpScenarios::publishConsumeAck);
        all.put("many", MqHttpScenarios::many);
        all.put("chinese_text", MqHttpScenarios::chineseText);
        all.put("properties", MqHttpScenarios::properties);
        all.put("tag_filter", MqHttpScenarios::tagFilter);
        all.put("delay", MqHttpScenarios::delay);
        all.put("ordered", MqHttpScenarios::ordered);
        all.put("ordered_waits_for_ack", MqHttpScenarios::orderedWaitsForAck);
        all.put("instance", MqHttpScenarios::instance);
        all.put("no_message", MqHttpScenarios::noMessage);
        all.put("unknown_topic", MqHttpScenarios::unknownTopic);
        all.put("expired_handle", MqHttpScenarios::expiredHandle);
        all.put("transaction_commit", MqHttpScenarios::transactionCommit);
        all.put("transaction_rollback", MqHttpScenarios::transactionRollback);
        all.put("transaction_half", MqHttpScenarios::transactionHalf);
        return all;
    }

    private static void same(Object got, Object wanted) {
        if (!Objects.equals(got, wanted)) {
            throw new AssertionError("expected " + wanted + ", got " + got);
        }
    }

    private static TopicMessage message(String body, String tag) {
        return new TopicMessage(body.getBytes(StandardCharsets.UTF_8), tag);
    }

    private static TopicMessage publish(MQClient client, String topic, TopicMessage message) {
        return client.getProducer(topic).publishMessage(message);
    }

    private static String bodyOf(Message message) {
        return new String(message.getMessageBodyBytes(), StandardCharsets.UTF_8);
    }

    private static String codeOf(Action action) throws Exception {
        try {
            action.run();
        } catch (AckMessageException error) {
            return error.getErrorMessages().values().iterator().next().getErrorCode();
        } catch (ServiceException error) {
            return error.getErrorCode();
        }
        return "";
    }

    /** Consumes and acknowledges until that many came. The SDK returns null where there is no message. */
    private static List<Message> consume(MQConsumer consumer, int wanted, boolean orderly) {
        List<Message> found = new ArrayList<>();
        long end = System.currentTimeMillis() + 15000;
        while (found.size() < wanted && System.currentTimeMillis() < end) {
            List<Message> batch = orderly ? consumer.consumeMessageOrderly(16, 3) : consumer.consumeMessage(16, 3);
            if (batch == null) {
                continue;
            }
            List<String> handles = new ArrayList<>();
            for (Message one : batch) {
                handles.add(one.getReceiptHandle());
            }
            consumer.ackMessage(handles);
            found.addAll(batch);
        }
        same(found.size(), wanted);
        return found;
    }

    private static MQConsumer consumer(MQClient client, String name) {
        return client.getConsumer(name, name + "_g");
    }

    private static void publishConsumeAck(MQClient client, String name) {
        TopicMessage sent = publish(client, name, message("hello <&> ]]>\tworld", null));
        Message message = consume(consumer(client, name), 1, false).get(0);
        same(bodyOf(message), "hello <&> ]]>\tworld");
        same(message.getMessageId(), sent.getMessageId());
        same(message.getMessageBodyMD5(), sent.getMessageBodyMD5());
        same(message.getConsumedTimes(), 1);
        same(message.getFirstConsumeTime() < message.getNextConsumeTime(), true);
    }

    private static void many(MQClient client, String name) {
        for (int number = 0; number < 40; number++) {
            publish(client, name, message("message " + number % 2, null));
        }
        consume(consumer(client, name), 40, false);
    }

    private static void chineseText(MQClient client, String name) {
        TopicMessage sent = message("消息队列 🚀", "标签");
        sent.setMessageKey("订单");
        sent.setShardingKey("键");
        publish(client, name, sent);
        Message message = consume(client.getConsumer(null, name, name + "_g", "标签"), 1, false).get(0);
        same(bodyOf(message), "消息队列 🚀");
        same(Arrays.asList(message.getMessageTag(), message.getMessageKey(), message.getShardingKey()),
            Arrays.asList("标签", "订单", "键"));
    }

    private static void properties(MQClient client, String name) {
        TopicMessage sent = message("x", "tag");
        sent.setMessageKey("key");
        sent.getProperties().put("colour", "red");
        publish(client, name, sent);
        Message message = consume(consumer(client, name), 1, false).get(0);
        same(message.getMessageTag() + " " + message.getMessageKey(), "tag key");
        same(message.getProperties().get("colour"), "red");
    }

    private static void tagFilter(MQClient client, String name) {
        for (String tag : new String[] {"A", "B", "C"}) {
            publish(client, name, message(tag, tag));
        }
        MQConsumer consumer = client.getConsumer(null, name, name + "_g", "A||B");
        List<String> bodies = new ArrayList<>();
        for (Message one : consume(consumer, 2, false)) {
            bodies.add(bodyOf(one));
        }
        Collections.sort(bodies);
        same(bodies, Arrays.asList("A", "B"));
        same(consumer.consumeMessage(1, 0), null);
    }

    private static void delay(MQClient client, String name) {
        long at = System.currentTimeMillis() + 2500;
        TopicMessage sent = message("later", null);
        sent.setStartDeliverTime(at);
        publish(client, name, sent);
        MQConsumer consumer = consumer(client, name);
        same(consumer.consumeMessage(1, 0), null);
        Message message = consume(consumer, 1, false).get(0);
        same(System.currentTimeMillis() >= at, true);
        same(message.getStartDeliverTime(), at);
    }

    private static void ordered(MQClient client, String name) {
        for (int number = 0; number < 12; number++) {
            TopicMessage sent = message(String.valueOf(number), null);
            sent.setShardingKey(String.valueOf(number % 2));
            publish(client, name, sent);
        }
        Map<String, Integer> latest = new HashMap<>();
        for (Message one : consume(consumer(client, name), 12, true)) {
            int number = Integer.parseInt(bodyOf(one));
            same(number > latest.getOrDefault(one.getShardingKey(), -1), true);
            latest.put(one.getShardingKey(), number);
        }
        same(latest.size(), 2);
    }

    private static void orderedWaitsForAck(MQClient client, String name) {
        for (int number = 0; number < 3; number++) {
            TopicMessage sent = message(String.valueOf(number), null);
            sent.setShardingKey("k");
            publish(client, name, sent);
        }
        MQConsumer consumer = consumer(client, name);
        Message first = consumer.consumeMessageOrderly(1, 3).get(0);
        same(consumer.consumeMessageOrderly(1, 0), null);
        consumer.ackMessage(Collections.singletonList(first.getReceiptHandle()));
        List<Message> rest = consume(consumer, 2, true);
        same(bodyOf(rest.get(0)) + bodyOf(rest.get(1)), "12");
    }

    private static void instance(MQClient client, String name) throws Exception {
        client.getProducer("INST", name).publishMessage(message("inside", null));
        same(codeOf(() -> consumer(client, name).consumeMessage(1, 0)), "TopicNotExist");
        consume(client.getConsumer("INST", name, name + "_g", null), 1, false);
    }

    private static void noMessage(MQClient client, String name) {
        publish(client, name, message("x", null));
        MQConsumer consumer = consumer(client, name);
        consume(consumer, 1, false);
        long began = System.currentTimeMillis();
        same(consumer.consumeMessage(1, 2), null);
        long took = System.currentTimeMillis() - began;
        same(took > 1500 && took < 10000, true);
    }

    private static void unknownTopic(MQClient client, String name) throws Exception {
        same(codeOf(() -> consumer(client, name).consumeMessage(1, 0)), "TopicNotExist");
    }

    private static void expiredHandle(MQClient client, String name) throws Exception {
        publish(client, name, message("again", null));
        MQConsumer consumer = consumer(client, name);
        Message first = consumer.consumeMessage(1, 3).get(0);
        Thread.sleep(Math.max(0, first.getNextConsumeTime() - System.currentTimeMillis()) + 300);
        Map<String, String> codes = new HashMap<>();
        try {
            consumer.ackMessage(Arrays.asList(first.getReceiptHandle(), "nonsense"));
        } catch (AckMessageException error) {
            for (Map.Entry<String, ErrorMessageResult> one : error.getErrorMessages().entrySet()) {
                codes.put(one.getKey(), one.getValue().getErrorCode());
            }
        }
        Map<String, String> wanted = new HashMap<>();
        wanted.put(first.getReceiptHandle(), "MessageNotExist");
        wanted.put("nonsense", "ReceiptHandleError");
        same(codes, wanted);
        Message second = consume(consumer, 1, false).get(0);
        same(second.getConsumedTimes(), 2);
        same(second.getFirstConsumeTime(), first.getFirstConsumeTime());
    }

    private static TopicMessage half(String body) {
        TopicMessage message = message(body, null);
        message.setTransCheckImmunityTime(10);
        return message;
    }

    private static void transactionCommit(MQClient client, String name) throws Exception {
        MQTransProducer producer = client.getTransProducer(name, name + "_p");
        String handle = producer.publishMessage(half("half")).getReceiptHandle();
        MQConsumer consumer = consumer(client, name);
        same(consumer.consumeMessage(1, 0), null);
        producer.commit(handle);
        same(bodyOf(consume(consumer, 1, false).get(0)), "half");
        same(codeOf(() -> producer.rollback(handle)), "MessageNotExist");
    }

    private static void transactionRollback(MQClient client, String name) {
        MQTransProducer producer = client.getTransProducer(name, name + "_p");
        producer.rollback(producer.publishMessage(half("half")).getReceiptHandle());
        same(consumer(client, name).consumeMessage(1, 1), null);
    }

    private static void transactionHalf(MQClient client, String name) throws Exception {
        MQTransProducer producer = client.getTransProducer(name, name + "_p");
        String handle = producer.publishMessage(half("commit")).getReceiptHandle();
        producer.publishMessage(half("rollback"));
        Map<String, String> found = new HashMap<>();
        long end = System.currentTimeMillis() + 25000;
        while (found.size() < 2 && System.currentTimeMillis() < end) {
            List<Message> batch = producer.consumeHalfMessage(16, 5);
            if (batch != null) {
                for (Message one : batch) {
                    found.put(bodyOf(one), one.getReceiptHandle());
                }
            }
        }
        same(found.size(), 2);
        same(codeOf(() -> producer.commit(handle)), "MessageNotExist");
        producer.commit(found.get("commit"));
        producer.rollback(found.get("rollback"));
        same(bodyOf(consume(consumer(client, name), 1, false).get(0)), "commit");
    }
}
