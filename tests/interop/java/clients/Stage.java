import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What one scenario works with: names of its own, clients that end with it, figures that it reports. */
final class Stage implements AutoCloseable {
    /** Body of the message that only creates a topic; `Received` leaves it out. */
    static final String WARM_UP = "warm-up";
    /** A broker tells its name server of a new topic a moment late; the default of 30 s would be waited for then. */
    static final int ROUTE_MILLIS = 1_000;
    /**
     * A heartbeat that finds the lock of another one taken is left out. Sent by a rebalance, it carries the subscription's new
     * version: every pull is refused until the next heartbeat, which the default has 30 s later.
     */
    static final int HEARTBEAT_MILLIS = 3_000;
    private static final AtomicInteger CLIENTS = new AtomicInteger();

    final String namesrv;
    final String name;
    final String topic;
    final String group;
    final Map<String, Object> figures = Collections.synchronizedMap(new LinkedHashMap<>());
    final Received received = new Received();
    private final Deque<AutoCloseable> closing = new ArrayDeque<>();
    private DefaultMQProducer producer;

    Stage(String namesrv, String prefix, String name) {
        this.namesrv = namesrv;
        this.name = name;
        this.topic = prefix + "_" + name;
        this.group = prefix + "_group_" + name;
    }

    void onClose(AutoCloseable thing) {
        closing.push(thing);
    }

    @Override
    public void close() {
        while (!closing.isEmpty()) {
            try {
                closing.pop().close();
            } catch (Exception error) {
                System.err.println(name + ": " + error);
            }
        }
    }

    String instance() {
        return name + "-" + CLIENTS.incrementAndGet();
    }

    DefaultMQProducer newProducer() {
        DefaultMQProducer made = new DefaultMQProducer(group + "_producer");
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setSendMsgTimeout(15_000);
        made.setPollNameServerInterval(ROUTE_MILLIS);
        return made;
    }

    /** The producer of this scenario, started. */
    synchronized DefaultMQProducer producer() throws Exception {
        if (producer == null) {
            producer = start(newProducer());
        }
        return producer;
    }

    DefaultMQProducer start(DefaultMQProducer made) throws Exception {
        made.start();
        onClose(made::shutdown);
        return made;
    }

    /** A consumer that is not started yet; the topic's route is known. */
    DefaultMQPushConsumer newConsumer(String expression) throws Exception {
        awaitRoute(producer(), topic);
        DefaultMQPushConsumer made = new DefaultMQPushConsumer(group);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setPollNameServerInterval(ROUTE_MILLIS);
        made.setHeartbeatBrokerInterval(HEARTBEAT_MILLIS);
        made.setConsumeThreadMin(4);
        made.setConsumeThreadMax(4);
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        made.subscribe(topic, expression);
        return made;
    }

    DefaultMQPushConsumer start(DefaultMQPushConsumer made) throws Exception {
        made.start();
        onClose(made::shutdown);
        return made;
    }

    /** A started member whose deliveries go to `received` under `member`. */
    DefaultMQPushConsumer concurrent(String member) throws Exception {
        DefaultMQPushConsumer made = newConsumer("*");
        made.registerMessageListener(collecting(member));
        return start(made);
    }

    DefaultMQPushConsumer orderly(String member) throws Exception {
        DefaultMQPushConsumer made = newConsumer("*");
        made.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            messages.forEach(each -> received.add(member, each));
            return ConsumeOrderlyStatus.SUCCESS;
        });
        return start(made);
    }

    MessageListenerConcurrently collecting(String member) {
        return (messages, context) -> {
            messages.forEach(each -> received.add(member, each));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    @SuppressWarnings("deprecation")
    DefaultMQPullConsumer pullConsumer() throws Exception {
        DefaultMQPullConsumer made = new DefaultMQPullConsumer(group);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.start();
        onClose(made::shutdown);
        return made;
    }

    DefaultLitePullConsumer newLitePull() {
        DefaultLitePullConsumer made = new DefaultLitePullConsumer(group);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setHeartbeatBrokerInterval(HEARTBEAT_MILLIS);
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        made.setPollTimeoutMillis(1_000);
        return made;
    }

    DefaultLitePullConsumer start(DefaultLitePullConsumer made) throws Exception {
        made.start();
        onClose(made::shutdown);
        return made;
    }

    Message message(String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    /** Creates the topic as users do, by a first send, and waits until its route is known. */
    void create() throws Exception {
        create(producer(), topic);
    }

    static void create(DefaultMQProducer producer, String topic) throws Exception {
        send(producer, new Message(topic, WARM_UP.getBytes(StandardCharsets.UTF_8)));
        awaitRoute(producer, topic);
    }

    private static void awaitRoute(DefaultMQProducer producer, String topic) throws Exception {
        until(20, "route of " + topic, () -> {
            try {
                return !producer.fetchPublishMessageQueues(topic).isEmpty();
            } catch (Exception unknown) {
                return false;
            }
        });
    }

    SendResult send(Message message) throws Exception {
        return send(producer(), message);
    }

    static SendResult send(DefaultMQProducer producer, Message message) throws Exception {
        SendResult result = producer.send(message);
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new Scenario.Broken("send: " + result);
        }
        return result;
    }

    /** Sends `count` bodies "what-0", "what-1", ... and returns them. */
    Set<String> sendMany(String what, int count) throws Exception {
        Set<String> sent = new LinkedHashSet<>();
        for (int number = 0; number < count; number++) {
            send(message(what + "-" + number));
            sent.add(what + "-" + number);
        }
        return sent;
    }

    static void check(boolean holds, String otherwise) throws Scenario.Broken {
        if (!holds) {
            throw new Scenario.Broken(otherwise);
        }
    }

    static void same(Object expected, Object came, String what) throws Scenario.Broken {
        if (expected == null ? came != null : !expected.equals(came)) {
            throw new Scenario.Broken(what + ": expected " + expected + ", came " + came);
        }
    }

    static void until(double seconds, String what, Callable<Boolean> done) throws Exception {
        long deadline = System.nanoTime() + (long) (seconds * 1e9);
        while (!done.call()) {
            if (System.nanoTime() > deadline) {
                throw new Scenario.Broken("after " + seconds + " s still waiting for " + what);
            }
            Thread.sleep(50);
        }
    }

    /** First deliveries per queue must follow the queue offset; repeats are allowed. */
    void checkOrderPerQueue() throws Scenario.Broken {
        Map<Integer, Long> last = new LinkedHashMap<>();
        for (Received.Delivery each : received.all()) {
            MessageExt message = each.message;
            long before = last.getOrDefault(message.getQueueId(), -1L);
            if (message.getQueueOffset() > before) {
                last.put(message.getQueueId(), message.getQueueOffset());
                check(before == -1 || message.getQueueOffset() == before + 1, "queue " + message.getQueueId()
                    + ": offset " + message.getQueueOffset() + " came after " + before);
            }
        }
    }
}
