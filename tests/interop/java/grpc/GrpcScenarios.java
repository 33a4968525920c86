import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.RecallReceipt;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;

/**
 * Runs named scenarios with the official gRPC client and prints one line of JSON for each.
 *
 * Arguments: endpoints, comma separated names (or "all", or "list"), a prefix unique to this run, "tls" or "plain".
 */
public final class GrpcScenarios {
    private interface Scenario {
        void run(Stage stage) throws Exception;
    }

    private static final int SCENARIO_SECONDS = 80;
    static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        // The longest first.
        SCENARIOS.put("retry_and_dead_letter", GrpcScenarios::retryAndDeadLetter);
        SCENARIOS.put("namespaces", NamespaceScenarios::apart);
        SCENARIOS.put("namespaces_dead_letter", NamespaceScenarios::deadLetter);
        SCENARIOS.put("transaction_orphan", GrpcScenarios::transactionOrphan);
        SCENARIOS.put("redelivery", GrpcScenarios::redelivery);
        SCENARIOS.put("normal", GrpcScenarios::normal);
        SCENARIOS.put("properties", GrpcScenarios::properties);
        SCENARIOS.put("fifo_send", GrpcScenarios::fifoSend);
        SCENARIOS.put("delay", GrpcScenarios::delay);
        SCENARIOS.put("recall", GrpcScenarios::recall);
        SCENARIOS.put("transaction_commit", GrpcScenarios::transactionCommit);
        SCENARIOS.put("transaction_rollback", GrpcScenarios::transactionRollback);
        SCENARIOS.put("simple_consumer", GrpcScenarios::simpleConsumer);
        SCENARIOS.put("change_invisible", GrpcScenarios::changeInvisible);
        SCENARIOS.put("push_consumer", GrpcScenarios::pushConsumer);
        SCENARIOS.put("push_retry", GrpcScenarios::pushRetry);
        SCENARIOS.put("push_fifo", GrpcScenarios::pushFifo);
        SCENARIOS.put("filter_tag", GrpcScenarios::filterTag);
        SCENARIOS.put("filter_sql92", GrpcScenarios::filterSql92);
        SCENARIOS.put("body_of_4_mb", GrpcScenarios::bodyOf4Mb);
        SCENARIOS.put("async_send", GrpcScenarios::asyncSend);
        SCENARIOS.put("bad_topic", GrpcScenarios::badTopic);
        SCENARIOS.put("priority", GrpcScenarios::priority);
        SCENARIOS.put("lite_push", LiteScenarios::push);
        SCENARIOS.put("lite_fifo", LiteScenarios::fifo);
        SCENARIOS.put("lite_quota", LiteScenarios::quota);
        SCENARIOS.put("lite_exclusive", LiteScenarios::exclusive);
    }

    /** What one scenario works with; closes what it made. */
    static final class Stage {
        final ClientConfiguration configuration;
        final String topic;
        final String group;
        final List<AutoCloseable> made;

        Stage(String endpoints, String prefix, String name, boolean tls) {
            configuration = ClientConfiguration.newBuilder().setEndpoints(endpoints).enableSsl(tls)
                .setRequestTimeout(Duration.ofSeconds(10)).build();
            topic = prefix + "_" + name;
            group = prefix + "_" + name + "_group";
            made = new CopyOnWriteArrayList<>();
        }

        private Stage(Stage outside, String namespace) {
            configuration = ClientConfiguration.newBuilder().setEndpoints(outside.configuration.getEndpoints())
                .enableSsl(outside.configuration.isSslEnabled()).setRequestTimeout(Duration.ofSeconds(10))
                .setNamespace(namespace).build();
            topic = outside.topic;
            group = outside.group;
            made = outside.made;
        }

        /** The same names, within a namespace. */
        Stage in(String namespace) {
            return new Stage(this, namespace);
        }

        Producer producer() throws Exception {
            Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration).setTopics(topic).build();
            made.add(producer);
            return producer;
        }

        SimpleConsumer simple(String group, FilterExpression filter, int waitSeconds) throws Exception {
            SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(configuration)
                .setConsumerGroup(group).setAwaitDuration(Duration.ofSeconds(waitSeconds))
                .setSubscriptionExpressions(Collections.singletonMap(topic, filter)).build();
            made.add(consumer);
            return consumer;
        }

        MessageBuilder message(String body) {
            return PROVIDER.newMessageBuilder().setTopic(topic).setBody(body.getBytes(StandardCharsets.UTF_8));
        }

        void close() {
            for (AutoCloseable one : made) {
                try {
                    one.close();
                } catch (Exception ignored) {
                    // The scenario has said what it has to say.
                }
            }
        }
    }

    static void check(boolean kept, String promise) {
        if (!kept) {
            throw new IllegalStateException(promise);
        }
    }

    static String text(MessageView view) {
        ByteBuffer body = view.getBody();
        byte[] bytes = new byte[body.remaining()];
        body.duplicate().get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** Receives and acknowledges until `count` messages are there or the time is over. */
    static List<MessageView> drain(SimpleConsumer consumer, int count, int seconds) throws Exception {
        List<MessageView> found = new ArrayList<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (found.size() < count && System.nanoTime() < end) {
            for (MessageView view : consumer.receive(16, Duration.ofSeconds(20))) {
                found.add(view);
                consumer.ack(view);
            }
        }
        return found;
    }

    private static List<String> texts(List<MessageView> views) {
        List<String> found = new ArrayList<>();
        views.forEach(view -> found.add(text(view)));
        return found;
    }

    static void await(String what, int seconds, java.util.function.BooleanSupplier happened) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!happened.getAsBoolean()) {
            check(System.nanoTime() < end, what + " did not happen within " + seconds + " s");
            Thread.sleep(20);
        }
    }

    private static void normal(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        Set<String> sent = new LinkedHashSet<>();
        for (int number = 0; number < 20; number++) {
            SendReceipt receipt = producer.send(stage.message("message " + number).build());
            sent.add(receipt.getMessageId().toString());
        }
        List<MessageView> views = drain(consumer, 20, 20);
        Set<String> received = new LinkedHashSet<>();
        views.forEach(view -> received.add(view.getMessageId().toString()));
        check(sent.equals(received) && views.size() == 20, "sent " + sent + " received " + received);
    }

    private static void properties(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        producer.send(stage.message("gr\u00fc\u00dfe \u4e2d\u6587").setTag("TagA").setKeys("k1", "k2")
            .addProperty("color", "blue").addProperty("\u540d", "\u503c").build());
        MessageView view = drain(consumer, 1, 20).get(0);
        check(text(view).equals("gr\u00fc\u00dfe \u4e2d\u6587"), "body " + text(view));
        check(view.getTag().get().equals("TagA"), "tag " + view.getTag());
        check(new ArrayList<>(view.getKeys()).equals(Arrays.asList("k1", "k2")), "keys " + view.getKeys());
        Map<String, String> wanted = new TreeMap<>();
        wanted.put("color", "blue");
        wanted.put("\u540d", "\u503c");
        check(new TreeMap<>(view.getProperties()).equals(wanted), "properties " + view.getProperties());
        check(view.getDeliveryAttempt() == 1, "attempt " + view.getDeliveryAttempt());
        check(view.getTopic().equals(stage.topic), "topic " + view.getTopic());
        long age = System.currentTimeMillis() - view.getBornTimestamp();
        check(age >= -1000 && age < 60_000, "born " + age + " ms ago");
        check(!view.getBornHost().isEmpty(), "born host");
    }

    private static void fifoSend(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        for (int number = 0; number < 12; number++) {
            producer.send(stage.message("g" + number % 2 + " " + number).setMessageGroup("g" + number % 2).build());
        }
        List<MessageView> views = drain(consumer, 12, 20);
        check(views.size() == 12, "received " + texts(views));
        for (String group : new String[] {"g0", "g1"}) {
            List<String> found = new ArrayList<>();
            for (MessageView view : views) {
                if (view.getMessageGroup().get().equals(group)) {
                    found.add(text(view));
                }
            }
            List<String> ordered = new ArrayList<>(found);
            ordered.sort((a, b) -> Integer.parseInt(a.split(" ")[1]) - Integer.parseInt(b.split(" ")[1]));
            check(found.equals(ordered) && found.size() == 6, group + " came as " + found);
        }
    }

    private static void delay(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 8);
        long due = System.currentTimeMillis() + 3000;
        producer.send(stage.message("later").setDeliveryTimestamp(due).build());
        List<MessageView> views = drain(consumer, 1, 15);
        long now = System.currentTimeMillis();
        check(views.size() == 1, "nothing came");
        check(now >= due - 5, "came " + (due - now) + " ms early");
        check(now < due + 3000, "came " + (now - due) + " ms late");
        check(views.get(0).getDeliveryTimestamp().get() == due, "delivery timestamp");
    }

    private static void recall(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        SendReceipt receipt = producer.send(
            stage.message("never").setDeliveryTimestamp(System.currentTimeMillis() + 4000).build());
        check(receipt.getRecallHandle() != null && !receipt.getRecallHandle().isEmpty(), "no recall handle");
        RecallReceipt recalled = producer.recallMessage(stage.topic, receipt.getRecallHandle());
        check(recalled.getMessageId().toString().equals(receipt.getMessageId().toString()), "recalled another message");
        List<MessageView> views = drain(consumer, 1, 7);
        check(views.isEmpty(), "a recalled message came");
    }

    private static Producer transactional(Stage stage, AtomicInteger checks, TransactionResolution answer) throws Exception {
        Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(stage.configuration)
            .setTopics(stage.topic).setTransactionChecker(view -> {
                checks.incrementAndGet();
                return answer;
            }).build();
        stage.made.add(producer);
        return producer;
    }

    private static void transactionCommit(Stage stage) throws Exception {
        Producer producer = transactional(stage, new AtomicInteger(), TransactionResolution.UNKNOWN);
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 3);
        Transaction transaction = producer.beginTransaction();
        producer.send(stage.message("committed").build(), transaction);
        check(drain(consumer, 1, 2).isEmpty(), "a half message is visible");
        transaction.commit();
        List<MessageView> views = drain(consumer, 1, 15);
        check(texts(views).equals(Arrays.asList("committed")), "came " + texts(views));
    }

    private static void transactionRollback(Stage stage) throws Exception {
        Producer producer = transactional(stage, new AtomicInteger(), TransactionResolution.UNKNOWN);
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 3);
        Transaction transaction = producer.beginTransaction();
        producer.send(stage.message("rolled back").build(), transaction);
        transaction.rollback();
        check(drain(consumer, 1, 4).isEmpty(), "a message that was rolled back is visible");
    }

    private static void transactionOrphan(Stage stage) throws Exception {
        AtomicInteger checks = new AtomicInteger();
        Producer producer = transactional(stage, checks, TransactionResolution.COMMIT);
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        Transaction transaction = producer.beginTransaction();
        producer.send(stage.message("orphan").build(), transaction);
        List<MessageView> views = drain(consumer, 1, 60);
        check(checks.get() > 0, "the producer was never asked");
        check(texts(views).equals(Arrays.asList("orphan")), "came " + texts(views));
    }

    private static void simpleConsumer(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 2);
        long began = System.nanoTime();
        check(consumer.receive(1, Duration.ofSeconds(20)).isEmpty(), "a message nobody sent");
        long waited = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
        check(waited >= 1500 && waited < 6000, "a receive of 2 s lasted " + waited + " ms");
        producer.send(stage.message("one").build());
        List<MessageView> views = consumer.receive(1, Duration.ofSeconds(20));
        check(views.size() == 1, "nothing came");
        consumer.ack(views.get(0));
        check(consumer.receive(1, Duration.ofSeconds(20)).isEmpty(), "an acknowledged message came again");
    }

    private static void changeInvisible(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 8);
        producer.send(stage.message("again").build());
        MessageView first = consumer.receive(1, Duration.ofSeconds(60)).get(0);
        consumer.changeInvisibleDuration(first, Duration.ofSeconds(2));
        long began = System.nanoTime();
        List<MessageView> views = consumer.receive(1, Duration.ofSeconds(20));
        long waited = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began);
        check(views.size() == 1, "it did not come again");
        check(waited >= 1000, "it came again after " + waited + " ms already");
        check(views.get(0).getDeliveryAttempt() == 2, "attempt " + views.get(0).getDeliveryAttempt());
        consumer.ack(views.get(0));
    }

    private static void redelivery(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        producer.send(stage.message("not acknowledged").build());
        check(consumer.receive(1, Duration.ofSeconds(10)).size() == 1, "nothing came");
        List<MessageView> views = drain(consumer, 1, 25);
        check(views.size() == 1 && views.get(0).getDeliveryAttempt() == 2, "came again " + views);
    }

    private static void pushConsumer(Stage stage) throws Exception {
        Producer producer = stage.producer();
        Set<String> received = ConcurrentHashMap.newKeySet();
        AtomicInteger count = new AtomicInteger();
        stage.made.add(PROVIDER.newPushConsumerBuilder().setClientConfiguration(stage.configuration)
            .setConsumerGroup(stage.group)
            .setSubscriptionExpressions(Collections.singletonMap(stage.topic, FilterExpression.SUB_ALL))
            .setMessageListener(view -> {
                received.add(text(view));
                count.incrementAndGet();
                return ConsumeResult.SUCCESS;
            }).build());
        for (int number = 0; number < 100; number++) {
            producer.send(stage.message("message " + number).build());
        }
        await("100 messages", 30, () -> received.size() == 100);
        check(count.get() == 100, "delivered " + count.get() + " times");
    }

    private static void pushRetry(Stage stage) throws Exception {
        Producer producer = stage.producer();
        List<Integer> attempts = new CopyOnWriteArrayList<>();
        stage.made.add(PROVIDER.newPushConsumerBuilder().setClientConfiguration(stage.configuration)
            .setConsumerGroup(stage.group)
            .setSubscriptionExpressions(Collections.singletonMap(stage.topic, FilterExpression.SUB_ALL))
            .setMessageListener(view -> {
                attempts.add(view.getDeliveryAttempt());
                return attempts.size() < 3 ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
            }).build());
        producer.send(stage.message("third time").build());
        await("three attempts", 40, () -> attempts.size() >= 3);
        Thread.sleep(1000);
        check(attempts.equals(Arrays.asList(1, 2, 3)), "attempts " + attempts);
    }

    /** The group was made by the test, as one that consumes in order. */
    private static void pushFifo(Stage stage) throws Exception {
        Producer producer = stage.producer();
        Map<String, List<Integer>> received = new ConcurrentHashMap<>();
        AtomicInteger failed = new AtomicInteger();
        stage.made.add(PROVIDER.newPushConsumerBuilder().setClientConfiguration(stage.configuration)
            .setConsumerGroup(stage.group)
            .setSubscriptionExpressions(Collections.singletonMap(stage.topic, FilterExpression.SUB_ALL))
            .setMessageListener(view -> {
                String[] words = text(view).split(" ");
                if (words[1].equals("3") && failed.getAndIncrement() == 0) {
                    return ConsumeResult.FAILURE;
                }
                received.computeIfAbsent(words[0], key -> new CopyOnWriteArrayList<>()).add(Integer.valueOf(words[1]));
                return ConsumeResult.SUCCESS;
            }).build());
        List<Integer> wanted = new ArrayList<>();
        for (int number = 0; number < 10; number++) {
            wanted.add(number);
            for (String group : new String[] {"g0", "g1", "g2"}) {
                producer.send(stage.message(group + " " + number).setMessageGroup(group).build());
            }
        }
        await("30 messages", 60, () -> received.values().stream().mapToInt(List::size).sum() >= 30);
        for (String group : new String[] {"g0", "g1", "g2"}) {
            check(wanted.equals(received.get(group)), group + " came as " + received.get(group));
        }
        check(failed.get() >= 1, "nothing failed");
    }

    /** The group was made by the test, with three retries; what fails then is in its dead-letter queue. */
    private static void retryAndDeadLetter(Stage stage) throws Exception {
        Producer producer = stage.producer();
        List<Integer> attempts = new CopyOnWriteArrayList<>();
        stage.made.add(PROVIDER.newPushConsumerBuilder().setClientConfiguration(stage.configuration)
            .setConsumerGroup(stage.group)
            .setSubscriptionExpressions(Collections.singletonMap(stage.topic, FilterExpression.SUB_ALL))
            .setMessageListener(view -> {
                attempts.add(view.getDeliveryAttempt());
                return ConsumeResult.FAILURE;
            }).build());
        producer.send(stage.message("hopeless").build());
        await("three attempts", 40, () -> attempts.size() >= 3);
        String dead = "%DLQ%" + stage.group;
        SimpleConsumer consumer = null;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        while (consumer == null) {
            try {
                consumer = PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(stage.configuration)
                    .setConsumerGroup(stage.group + "_dead").setAwaitDuration(Duration.ofSeconds(5))
                    .setSubscriptionExpressions(Collections.singletonMap(dead, FilterExpression.SUB_ALL)).build();
            } catch (Exception notYet) {
                check(System.nanoTime() < end, "no dead-letter queue: " + notYet);
                Thread.sleep(500);
            }
        }
        stage.made.add(consumer);
        List<MessageView> views = drain(consumer, 1, 30);
        check(texts(views).equals(Arrays.asList("hopeless")), "dead letters " + texts(views));
        check(attempts.equals(Arrays.asList(1, 2, 3, 4)), "attempts " + attempts);
    }

    private static void filterTag(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, new FilterExpression("A || C"), 4);
        for (String tag : new String[] {"A", "B", "C", "B", "A"}) {
            producer.send(stage.message(tag).setTag(tag).build());
        }
        List<String> found = texts(drain(consumer, 4, 8));
        Collections.sort(found);
        check(found.equals(Arrays.asList("A", "A", "C")), "came " + found);
    }

    private static void filterSql92(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group,
            new FilterExpression("price > 10 AND color IN ('red', 'blue')", FilterExpressionType.SQL92), 4);
        producer.send(stage.message("yes").addProperty("price", "11").addProperty("color", "red").build());
        producer.send(stage.message("cheap").addProperty("price", "9").addProperty("color", "red").build());
        producer.send(stage.message("green").addProperty("price", "12").addProperty("color", "green").build());
        List<String> found = texts(drain(consumer, 2, 8));
        check(found.equals(Arrays.asList("yes")), "came " + found);
    }

    private static void bodyOf4Mb(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        byte[] body = new byte[4 * 1024 * 1024];
        new java.util.Random(1).nextBytes(body);
        producer.send(PROVIDER.newMessageBuilder().setTopic(stage.topic).setBody(body).build());
        MessageView view = drain(consumer, 1, 20).get(0);
        byte[] found = new byte[view.getBody().remaining()];
        view.getBody().duplicate().get(found);
        check(Arrays.equals(body, found), "the body is another");
    }

    private static void asyncSend(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        List<java.util.concurrent.CompletableFuture<SendReceipt>> futures = new ArrayList<>();
        for (int number = 0; number < 200; number++) {
            futures.add(producer.sendAsync(stage.message("message " + number).build()));
        }
        for (java.util.concurrent.CompletableFuture<SendReceipt> future : futures) {
            future.get(20, TimeUnit.SECONDS);
        }
        check(drain(consumer, 200, 30).size() == 200, "not all came");
    }

    private static void priority(Stage stage) throws Exception {
        Producer producer = stage.producer();
        SimpleConsumer consumer = stage.simple(stage.group, FilterExpression.SUB_ALL, 5);
        for (int priority = 0; priority < 3; priority++) {
            producer.send(stage.message("p" + priority).setPriority(priority).build());
        }
        List<MessageView> views = drain(consumer, 3, 20);
        check(views.size() == 3, "came " + texts(views));
        for (MessageView view : views) {
            check(text(view).equals("p" + view.getPriority().get()), text(view) + " came with " + view.getPriority());
        }
    }

    private static void badTopic(Stage stage) throws Exception {
        Producer producer = stage.producer();
        Message message = PROVIDER.newMessageBuilder().setTopic("SCHEDULE_TOPIC_XXXX").setBody(new byte[] {1}).build();
        try {
            producer.send(message);
        } catch (Exception refused) {
            check(String.valueOf(refused.getMessage()).contains("system topic"), "refused by " + refused);
            return;
        }
        check(false, "a system topic was written");
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        if (args[1].equals("list")) {
            SCENARIOS.keySet().forEach(out::println);
            return;
        }
        Set<String> wanted = args[1].equals("all") ? SCENARIOS.keySet() : new LinkedHashSet<>(Arrays.asList(args[1].split(",")));
        ExecutorService threads = Executors.newFixedThreadPool(8);
        Map<String, Future<?>> running = new LinkedHashMap<>();
        for (Map.Entry<String, Scenario> each : SCENARIOS.entrySet()) {
            if (wanted.contains(each.getKey())) {
                running.put(each.getKey(), threads.submit(() -> perform(out, args, each.getKey(), each.getValue())));
            }
        }
        for (Map.Entry<String, Future<?>> each : running.entrySet()) {
            try {
                each.getValue().get(SCENARIO_SECONDS, TimeUnit.SECONDS);
            } catch (java.util.concurrent.TimeoutException late) {
                report(out, each.getKey(), "failed", SCENARIO_SECONDS, "no end after " + SCENARIO_SECONDS + " s");
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private static void perform(PrintStream out, String[] args, String name, Scenario scenario) {
        long began = System.nanoTime();
        String outcome = "ok";
        String message = "";
        Stage stage = new Stage(args[0], args[2], name, args[3].equals("tls"));
        try {
            scenario.run(stage);
        } catch (Throwable error) {
            outcome = "failed";
            StringWriter text = new StringWriter();
            error.printStackTrace(new PrintWriter(text));
            message = text.toString();
        }
        report(out, name, outcome, (System.nanoTime() - began) / 1e9, message);
        stage.close();
    }

    private static void report(PrintStream out, String name, String outcome, double seconds, String message) {
        StringBuilder text = new StringBuilder();
        for (char c : message.toCharArray()) {
            if (c == '"' || c == '\\') {
                text.append('\\').append(c);
            } else if (c < ' ') {
                text.append(String.format("\\u%04x", (int) c));
            } else {
                text.append(c);
            }
        }
        synchronized (out) {
            out.println("{\"name\":\"" + name + "\",\"outcome\":\"" + outcome + "\",\"seconds\":"
                + Math.round(seconds * 1000) / 1000.0 + ",\"message\":\"" + text + "\"}");
        }
    }
}
