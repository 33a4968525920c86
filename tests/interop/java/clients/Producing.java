import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Every way to send, each proven by what a consumer receives. */
final class Producing {
    private static final int MESSAGE_ILLEGAL = 13;

    private Producing() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("sync_send", Producing::syncSend);
        scenarios.put("async_send", Producing::asyncSend);
        scenarios.put("one_way", Producing::oneWay);
        scenarios.put("batch", Producing::batch);
        scenarios.put("compressed_zlib", stage -> compressed(stage, null));
        scenarios.put("compressed_lz4", stage -> compressed(stage, "LZ4"));
        scenarios.put("compressed_zstd", stage -> compressed(stage, "ZSTD"));
        scenarios.put("properties_keys_tags", Producing::properties);
        scenarios.put("chinese_text", Producing::chinese);
        scenarios.put("body_of_4_mb", Producing::largest);
        scenarios.put("body_too_large", Producing::tooLarge);
        scenarios.put("queue_selector", Producing::selector);
    }

    private static void syncSend(Stage stage) throws Exception {
        Set<String> ids = new HashSet<>();
        Set<String> offsetIds = new HashSet<>();
        Map<Integer, Long> next = new HashMap<>();
        Set<String> sent = new LinkedHashSet<>();
        for (int number = 0; number < 40; number++) {
            SendResult result = stage.send(stage.message("sync-" + number));
            sent.add("sync-" + number);
            ids.add(result.getMsgId());
            offsetIds.add(result.getOffsetMsgId());
            int queue = result.getMessageQueue().getQueueId();
            Stage.same(next.getOrDefault(queue, 0L), result.getQueueOffset(), "offset in queue " + queue);
            next.put(queue, result.getQueueOffset() + 1);
        }
        Stage.same(40, ids.size(), "different message ids");
        Stage.same(40, offsetIds.size(), "different offset message ids");
        Stage.same(new HashSet<>(Arrays.asList(0, 1, 2, 3)), next.keySet(), "queues of an auto-created topic");
        stage.concurrent("a");
        stage.received.awaitBodies(20, sent);
        Stage.same(40, stage.received.count(), "deliveries");
        for (Received.Delivery each : stage.received.all()) {
            Stage.check(ids.contains(each.message.getMsgId()), "unknown message id " + each.message.getMsgId());
            Stage.same(stage.topic, each.message.getTopic(), "topic");
        }
    }

    private static void asyncSend(Stage stage) throws Exception {
        int count = 1_000;
        stage.create();
        CountDownLatch done = new CountDownLatch(count);
        AtomicReference<Throwable> error = new AtomicReference<>();
        Set<String> sent = new LinkedHashSet<>();
        long began = System.nanoTime();
        for (int number = 0; number < count; number++) {
            sent.add("async-" + number);
            stage.producer().send(stage.message("async-" + number), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    if (result.getSendStatus() != SendStatus.SEND_OK) {
                        error.compareAndSet(null, new Scenario.Broken(result.toString()));
                    }
                    done.countDown();
                }

                @Override
                public void onException(Throwable cause) {
                    error.compareAndSet(null, cause);
                    done.countDown();
                }
            });
        }
        Stage.check(done.await(30, TimeUnit.SECONDS), done.getCount() + " callbacks missing");
        stage.figures.put("per_second", Math.round(count / ((System.nanoTime() - began) / 1e9)));
        if (error.get() != null) {
            throw new Exception("a callback failed", error.get());
        }
        stage.concurrent("a");
        stage.received.awaitBodies(30, sent);
        Stage.same(count, stage.received.count(), "deliveries");
    }

    private static void oneWay(Stage stage) throws Exception {
        int count = 5_000;
        stage.create();
        stage.concurrent("a");
        Set<String> sent = new LinkedHashSet<>();
        long began = System.nanoTime();
        for (int number = 0; number < count; number++) {
            stage.producer().sendOneway(stage.message("one-way-" + number));
            sent.add("one-way-" + number);
        }
        stage.figures.put("per_second", Math.round(count / ((System.nanoTime() - began) / 1e9)));
        stage.received.awaitBodies(40, sent);
        Stage.same(count, stage.received.count(), "deliveries");
    }

    private static void batch(Stage stage) throws Exception {
        stage.create();
        List<Message> messages = new ArrayList<>();
        Set<String> sent = new LinkedHashSet<>();
        for (int number = 0; number < 50; number++) {
            Message message = stage.message("batch-" + number + "-文");
            message.setTags("tag" + number % 3);
            message.setKeys("key" + number);
            message.putUserProperty("number", String.valueOf(number));
            messages.add(message);
            sent.add("batch-" + number + "-文");
        }
        SendResult result = stage.producer().send(messages);
        Stage.same(SendStatus.SEND_OK, result.getSendStatus(), "status");
        Stage.same(50, result.getMsgId().split(",").length, "message ids in the result");
        stage.concurrent("a");
        stage.received.awaitBodies(20, sent);
        Set<Integer> queues = new HashSet<>();
        List<Long> offsets = new ArrayList<>();
        for (Received.Delivery each : stage.received.all()) {
            String number = each.body().split("-")[1];
            Stage.same("tag" + Integer.parseInt(number) % 3, each.message.getTags(), "tag");
            Stage.same("key" + number, each.message.getKeys(), "key");
            Stage.same(number, each.message.getUserProperty("number"), "property");
            queues.add(each.message.getQueueId());
            offsets.add(each.message.getQueueOffset() - Integer.parseInt(number));
        }
        Stage.same(1, queues.size(), "queues of one batch");
        Stage.same(1, new HashSet<>(offsets).size(), "distance of offsets from the numbers in the batch");
    }

    private static void compressed(Stage stage, String type) throws Exception {
        DefaultMQProducer producer = stage.newProducer();
        if (type != null) {
            // RocketMQ reads which compressor to use from this setter since 5.1.
            try {
                Wire.setEnum(producer, "setCompressType", type);
            } catch (NoSuchMethodException old) {
                throw new Scenario.Skipped("this client version compresses with zlib only");
            }
        }
        stage.start(producer);
        StringBuilder text = new StringBuilder();
        for (int number = 0; text.length() < 20_000; number++) {
            text.append("压缩 compressible ").append(number % 50);
        }
        String body = text.toString();
        Stage.send(producer, stage.message(body));
        stage.concurrent("a");
        stage.received.awaitBodies(20, new HashSet<>(Arrays.asList(body)));
        MessageExt message = stage.received.all().get(0).message;
        stage.figures.put("stored_bytes", message.getStoreSize());
        stage.figures.put("body_bytes", message.getBody().length);
        Stage.check(message.getStoreSize() < message.getBody().length, "the stored message is not compressed");
    }

    private static void properties(Stage stage) throws Exception {
        Message message = stage.message("properties");
        message.setTags("标签A");
        message.setKeys(Arrays.asList("k1", "键二"));
        message.putUserProperty("name", "value with spaces = and \"quotes\"");
        message.setFlag(7);
        message.setBuyerId("buyer");
        SendResult result = stage.send(message);
        stage.concurrent("a");
        stage.received.awaitBodies(20, new HashSet<>(Arrays.asList("properties")));
        MessageExt came = stage.received.all().get(0).message;
        Stage.same("标签A", came.getTags(), "tag");
        Stage.same("k1 键二", came.getKeys(), "keys");
        Stage.same("value with spaces = and \"quotes\"", came.getUserProperty("name"), "property");
        Stage.same("buyer", came.getBuyerId(), "buyer id");
        Stage.same(7, came.getFlag(), "flag");
        Stage.same(result.getMsgId(), came.getMsgId(), "message id");
        Stage.same(result.getQueueOffset(), came.getQueueOffset(), "queue offset");
        Stage.same(0, came.getReconsumeTimes(), "reconsume times");
        Stage.check(came.getBornTimestamp() > 0 && came.getStoreTimestamp() >= came.getBornTimestamp() - 1_000,
            "timestamps: born " + came.getBornTimestamp() + ", stored " + came.getStoreTimestamp());
        Stage.check(came.getBornHost() != null && came.getStoreHost() != null, "hosts: " + came);
    }

    private static void chinese(Stage stage) throws Exception {
        // Topic and group names may hold ASCII only, so Chinese goes everywhere else.
        String body = "订单已创建：𠮷野家 ☕ 繁體";
        Message message = stage.message(body);
        message.setTags("订单");
        message.setKeys("订单号-一二三");
        message.putUserProperty("客户", "张三 李四");
        message.putUserProperty("emoji", "😀𠮷");
        stage.send(message);
        stage.producer().sendOneway(stage.message(body + "单向"));
        org.apache.rocketmq.client.consumer.DefaultMQPushConsumer consumer = stage.newConsumer("订单 || 别的");
        consumer.registerMessageListener(stage.collecting("a"));
        stage.start(consumer);
        stage.received.awaitBodies(20, new HashSet<>(Arrays.asList(body)));
        MessageExt came = stage.received.all().get(0).message;
        Stage.same(1, stage.received.count(), "deliveries under a Chinese tag");
        Stage.same("订单", came.getTags(), "tag");
        Stage.same("订单号-一二三", came.getKeys(), "key");
        Stage.same("张三 李四", came.getUserProperty("客户"), "property");
        Stage.same("😀𠮷", came.getUserProperty("emoji"), "property outside the basic plane");
    }

    private static byte[] noise(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    private static void largest(Stage stage) throws Exception {
        DefaultMQProducer producer = stage.newProducer();
        // Sent as it is: a body that shrinks would not be 4 MB on the wire.
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        stage.start(producer);
        byte[] body = noise(4 << 20);
        long began = System.nanoTime();
        Stage.send(producer, new Message(stage.topic, body));
        stage.figures.put("send_ms", (System.nanoTime() - began) / 1_000_000);
        stage.concurrent("a");
        stage.received.await(20, "the body of 4 MB", each -> each.count() == 1);
        Stage.check(Arrays.equals(body, stage.received.all().get(0).message.getBody()), "another body came back");
    }

    private static void tooLarge(Stage stage) throws Exception {
        DefaultMQProducer producer = stage.newProducer();
        producer.setMaxMessageSize(32 << 20);
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.setRetryTimesWhenSendFailed(0);
        stage.start(producer);
        Stage.create(producer, stage.topic);
        Wire wire = new Wire(stage, producer);
        String address = wire.brokerOf(producer.fetchPublishMessageQueues(stage.topic).get(0));
        Object connection = wire.connection(address);
        for (int size : new int[] {(4 << 20) + 1, 6 << 20}) {
            try {
                SendResult result = producer.send(new Message(stage.topic, noise(size)));
                throw new Scenario.Broken(size + " bytes were not refused: " + result);
            } catch (MQBrokerException refused) {
                Stage.same(MESSAGE_ILLEGAL, refused.getResponseCode(), "code for " + size + " bytes, "
                    + refused.getErrorMessage());
                stage.figures.put("remark", String.valueOf(refused.getErrorMessage()));
            }
        }
        Stage.send(producer, stage.message("after"));
        Stage.check(connection == wire.connection(address), "the connection did not survive the refusal");
        stage.concurrent("a");
        stage.received.awaitBodies(20, new HashSet<>(Arrays.asList("after")));
        Stage.same(1, stage.received.count(), "deliveries");
    }

    private static void selector(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = new LinkedHashSet<>();
        Map<String, Integer> queues = new HashMap<>();
        for (int number = 0; number < 24; number++) {
            String body = "selected-" + number;
            SendResult result = stage.producer().send(stage.message(body),
                (all, message, argument) -> all.get((Integer) argument % all.size()), number);
            sent.add(body);
            queues.put(body, result.getMessageQueue().getQueueId());
        }
        Stage.same(4, new HashSet<>(queues.values()).size(), "queues");
        stage.concurrent("a");
        stage.received.awaitBodies(20, sent);
        for (Received.Delivery each : stage.received.all()) {
            Stage.same(queues.get(each.body()), each.message.getQueueId(), "queue of " + each.body());
        }
    }
}
