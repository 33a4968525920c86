import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What a broker promises beyond sending and consuming. Run only where they are named: its times must be short. */
final class Promising {
    static final List<String> NAMES =
        Arrays.asList("transaction_ends", "check_back_of_another", "delay_levels", "timers", "sql_filter");

    private Promising() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("transaction_ends", Promising::transactionEnds);
        scenarios.put("check_back_of_another", Promising::checkBackOfAnother);
        scenarios.put("delay_levels", Promising::delayLevels);
        scenarios.put("timers", Promising::timers);
        scenarios.put("sql_filter", Promising::sqlFilter);
    }

    private interface Deciding {
        LocalTransactionState decide(String text, boolean asked);
    }

    private static TransactionMQProducer transactional(Stage stage, String member, Deciding deciding) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(stage.group + "_members");
        producer.setNamesrvAddr(stage.namesrv);
        producer.setInstanceName(member + System.nanoTime());
        producer.setPollNameServerInterval(Stage.ROUTE_MILLIS);
        producer.setHeartbeatBrokerInterval(1_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return deciding.decide(new String(message.getBody(), StandardCharsets.UTF_8), false);
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return deciding.decide(Received.text(message), true);
            }
        });
        producer.start();
        stage.onClose(producer::shutdown);
        return producer;
    }

    /** What is committed is seen once and only then, what is rolled back never, whoever sends them. */
    private static void transactionEnds(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        TransactionMQProducer producer = transactional(stage, "ends-", (text, asked) -> {
            return text.startsWith("yes") ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        });
        Set<String> wanted = new LinkedHashSet<>();
        for (int number = 0; number < 8; number++) {
            String text = (number % 2 == 0 ? "yes-" : "no-") + number;
            Message message = stage.message(text);
            message.setTags("T");
            message.putUserProperty("属性", "值");
            TransactionSendResult sent = producer.sendMessageInTransaction(message, null);
            Stage.same(SendStatus.SEND_OK, sent.getSendStatus(), "status");
            if (number % 2 == 0) {
                wanted.add(text);
            }
        }
        Stage.until(20, "the committed", () -> stage.received.bodies().size() == wanted.size());
        Thread.sleep(1_500);
        Stage.same(wanted, new LinkedHashSet<>(stage.received.bodies()), "bodies");
        Stage.same(wanted.size(), stage.received.count(), "deliveries");
        for (Received.Delivery each : stage.received.all()) {
            Stage.same(stage.topic, each.message.getTopic(), "topic");
            Stage.same("T", each.message.getTags(), "tag");
            Stage.same("值", each.message.getUserProperty("属性"), "property");
        }
    }

    /** Who sent a half message has gone: another member of its group is asked, until it knows. */
    private static void checkBackOfAnother(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        TransactionMQProducer first = transactional(stage, "first-", (text, asked) -> LocalTransactionState.UNKNOW);
        AtomicInteger asked = new AtomicInteger();
        TransactionMQProducer second = transactional(stage, "second-", (text, again) -> !again || asked.incrementAndGet() > 1
            ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.UNKNOW);
        // A producer that has sent nothing knows no broker, and none knows it.
        second.sendMessageInTransaction(stage.message("known"), null);
        first.sendMessageInTransaction(stage.message("left behind"), null);
        first.shutdown();
        Stage.until(40, "the message", () -> stage.received.bodies().contains("left behind"));
        Stage.check(asked.get() >= 2, "asked " + asked.get() + " times");
    }

    /** Levels 1, 2 and 3: 1, 5 and 10 s. */
    private static void delayLevels(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        double[] seconds = {1, 5, 10};
        Map<String, Long> sent = new ConcurrentHashMap<>();
        for (int level = 1; level <= 3; level++) {
            Message message = stage.message("level-" + level);
            message.setDelayTimeLevel(level);
            sent.put("level-" + level, System.nanoTime());
            stage.send(message);
        }
        Stage.until(30, "three messages", () -> stage.received.bodies().size() == 3);
        List<Double> delays = new ArrayList<>();
        for (Received.Delivery each : stage.received.all()) {
            double took = (each.nanos - sent.get(each.body())) / 1e9;
            double wanted = seconds[Integer.parseInt(each.body().substring(6)) - 1];
            delays.add(took);
            Stage.check(took >= wanted - 0.05 && took < wanted + 4, each.body() + " came after " + took + " s");
        }
        stage.figures.put("delays_seconds", delays);
    }

    /** Times to the millisecond, in three spellings; one that is recalled never comes. Clients 4.x have none of them. */
    private static void timers(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("one");
        String[][] spellings = {
            {"setDelayTimeSec", "3"}, {"setDelayTimeMs", "3000"}, {"setDeliverTimeMs", "" + (System.currentTimeMillis() + 3_000)},
        };
        Map<String, Long> sent = new ConcurrentHashMap<>();
        for (String[] each : spellings) {
            Message message = stage.message(each[0]);
            set(message, each[0], Long.parseLong(each[1]));
            sent.put(each[0], System.nanoTime());
            stage.send(message);
        }
        Message late = stage.message("recalled");
        set(late, "setDelayTimeSec", 4);
        SendResult result = stage.producer().send(late);
        Method handle = SendResult.class.getMethod("getRecallHandle");
        Method recall = stage.producer().getClass().getMethod("recallMessage", String.class, String.class);
        Stage.same(late.getProperty("UNIQ_KEY"),
            recall.invoke(stage.producer(), stage.topic, handle.invoke(result)), "recalled message id");
        Stage.until(20, "three messages", () -> stage.received.bodies().size() == 3);
        Thread.sleep(3_000);
        Stage.check(!stage.received.bodies().contains("recalled"), "a recalled message came");
        for (Received.Delivery each : stage.received.all()) {
            double took = (each.nanos - sent.get(each.body())) / 1e9;
            Stage.check(took >= 2.7 && took < 6, each.body() + " came after " + took + " s");
        }
    }

    private static void set(Message message, String setter, long value) throws Exception {
        try {
            Message.class.getMethod(setter, long.class).invoke(message, value);
        } catch (NoSuchMethodException old) {
            throw new Scenario.Skipped("this client has no timers");
        }
    }

    private static void sqlFilter(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer consumer = stage.newConsumer("*");
        consumer.subscribe(stage.topic,
            MessageSelector.bySql("(number BETWEEN 3 AND 6 AND colour IN ('red', 'grün')) OR TAGS = 'urgent'"));
        consumer.registerMessageListener(stage.collecting("one"));
        stage.start(consumer);
        Set<String> wanted = new HashSet<>();
        for (int number = 0; number < 12; number++) {
            String colour = new String[] {"red", "grün", "blue"}[number % 3];
            Message message = stage.message("number-" + number);
            message.putUserProperty("number", "" + number);
            message.putUserProperty("colour", colour);
            message.setTags(number == 11 ? "urgent" : "calm");
            stage.send(message);
            if (number >= 3 && number <= 6 && !colour.equals("blue") || number == 11) {
                wanted.add("number-" + number);
            }
        }
        stage.received.awaitBodies(20, wanted);
        Thread.sleep(1_000);
        Stage.same(wanted, new HashSet<>(stage.received.bodies()), "bodies");
    }
}
