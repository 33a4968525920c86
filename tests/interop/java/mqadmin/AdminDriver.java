import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Many mqadmin commands in one process. Reads one command a line, its words separated by tabs, and answers each with one
 * line of two JSON strings: what the command printed, and what it complained of. Words that begin with ! are our own:
 * clients that have to be alive while a command looks at them.
 */
public final class AdminDriver extends MQAdminStartup {
    private static final Map<String, List<String>> RECEIVED = new ConcurrentHashMap<>();
    private static final Map<String, DefaultMQProducer> PRODUCERS = new ConcurrentHashMap<>();
    private static final Map<String, DefaultMQPushConsumer> CONSUMERS = new ConcurrentHashMap<>();

    /** Without a hook of its own, mqadmin looks for a file of credentials below ROCKETMQ_HOME. */
    private static final RPCHook NO_CREDENTIALS = new RPCHook() {
        @Override
        public void doBeforeRequest(String address, RemotingCommand request) {
        }

        @Override
        public void doAfterResponse(String address, RemotingCommand request, RemotingCommand response) {
        }
    };

    public static void main(String[] args) {
        try {
            serve(args[0]);
        } catch (Exception error) {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void serve(String namesrv) throws Exception {
        PrintStream real = new PrintStream(System.out, true, "UTF-8");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, "UTF-8"));
            System.setErr(new PrintStream(err, true, "UTF-8"));
            try {
                perform(namesrv, line.split("\t"));
            } catch (Throwable error) {
                error.printStackTrace();
            }
            System.out.flush();
            System.err.flush();
            real.println("[" + quote(out.toString("UTF-8")) + "," + quote(err.toString("UTF-8")) + "]");
        }
        Runtime.getRuntime().halt(0);
    }

    private static void perform(String namesrv, String[] words) throws Exception {
        switch (words[0]) {
            case "!consume":
                consume(namesrv, words[1], words[2], true);
                break;
            case "!pop":
                consume(namesrv, words[1], words[2], false);
                break;
            case "!received":
                RECEIVED.get(words[1]).forEach(System.out::println);
                break;
            case "!stop":
                CONSUMERS.remove(words[1]).shutdown();
                break;
            case "!produce":
                produce(namesrv, words[1], words[2], Arrays.copyOfRange(words, 3, words.length), false);
                break;
            case "!trace":
                produce(namesrv, words[1], words[2], Arrays.copyOfRange(words, 3, words.length), true);
                break;
            case "!fill":
                fill(namesrv, words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3]));
                break;
            case "!from":
                if (words[1].equals("push")) {
                    pushFrom(namesrv, words[2], words[3], words[4]);
                } else {
                    pollFrom(namesrv, words[2], words[3], words[4]);
                }
                break;
            case "!namespaced":
                namespaced(namesrv, words[1], words[2], words[3], words[4]);
                break;
            case "!half":
                half(namesrv, words[1], words[2], words[3]);
                break;
            case "!resume":
                System.out.println(resume(namesrv, words[1], words[2]));
                break;
            case "!readable":
                System.out.println(readable(namesrv, words[1], words[2], words[3], words.length > 4 ? words[4] : null));
                break;
            case "!page":
                Pages.show(namesrv, new DefaultMQAdminExt(NO_CREDENTIALS), words);
                break;
            case "!await":
                System.out.println(await(words[1], words[2], words[3], Long.parseLong(words[4])));
                break;
            case "!as":
                RPCHook signing = new AclClientRPCHook(new SessionCredentials(words[1], words[2]));
                command(namesrv, Arrays.copyOfRange(words, 3, words.length), signing);
                break;
            default:
                command(namesrv, words, NO_CREDENTIALS);
        }
    }

    private static void command(String namesrv, String[] words, RPCHook hook) {
        List<String> all = new ArrayList<>(Arrays.asList(words));
        if (!all.contains("-n")) {
            all.addAll(1, Arrays.asList("-n", namesrv));
        }
        // The commands keep clients in their fields, which a second use would start again.
        SUB_COMMANDS.clear();
        main0(all.toArray(new String[0]), hook);
    }

    /** @param pulls whether the client balances queues itself; else it asks the broker, which may have it pop */
    private static void consume(String namesrv, String group, String topic, boolean pulls) throws Exception {
        List<String> bodies = RECEIVED.computeIfAbsent(group, name -> new CopyOnWriteArrayList<>());
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("consumer-of-" + group);
        // A rebalance's heartbeat may be left out; pulls are refused until the next.
        consumer.setHeartbeatBrokerInterval(3_000);
        consumer.setPollNameServerInterval(1_000);
        consumer.setClientRebalance(pulls);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> bodies.add(new String(each.getBody(), StandardCharsets.UTF_8)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        CONSUMERS.put(group, consumer);
        System.out.println(consumer.buildMQClientId());
    }

    /** Sends the bodies, "body" or "body|key|tag", and stays; prints ids, queue and offset of each. */
    private static void produce(String namesrv, String group, String topic, String[] bodies, boolean traced)
        throws Exception {
        DefaultMQProducer producer = PRODUCERS.get(group);
        if (producer == null) {
            producer = new DefaultMQProducer(group, null, traced, null);
            producer.setNamesrvAddr(namesrv);
            producer.setInstanceName("producer-of-" + group);
            // A producer first registers with the heartbeat that follows its first send.
            producer.setHeartbeatBrokerInterval(1_000);
            producer.setPollNameServerInterval(1_000);
            producer.setSendMsgTimeout(10_000);
            producer.start();
            PRODUCERS.put(group, producer);
        }
        for (String each : bodies) {
            String[] parts = each.split("\\|");
            Message message = new Message(topic, parts[0].getBytes(StandardCharsets.UTF_8));
            if (parts.length > 1) {
                message.setKeys(parts[1]);
                message.setTags(parts[2]);
            }
            SendResult result = producer.send(message);
            System.out.println(result.getMsgId() + " " + result.getOffsetMsgId() + " "
                + result.getMessageQueue().getQueueId() + " " + result.getQueueOffset());
        }
    }

    /** Messages to queue 0, each its number and a padding. */
    private static void fill(String namesrv, String topic, int first, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("filling");
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("filling" + System.nanoTime());
        producer.setSendMsgTimeout(20_000);
        producer.start();
        try {
            String padding = new String(new char[1000]).replace('\0', 'x');
            for (int number = first; number < first + count; number++) {
                byte[] body = (number + " " + padding).getBytes(StandardCharsets.UTF_8);
                producer.send(new Message(topic, body), (queues, message, argument) -> queues.get(0), null);
            }
        } finally {
            producer.shutdown();
        }
    }

    /** Where a new group begins: FIRST, LAST, or a time as yyyyMMddHHmmss. */
    private static ConsumeFromWhere where(String from) {
        return from.equals("FIRST") ? ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET
            : from.equals("LAST") ? ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET
            : ConsumeFromWhere.CONSUME_FROM_TIMESTAMP;
    }

    private static void keep(String group, MessageExt message) {
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        RECEIVED.get(group).add(body.split(" ")[0]);
    }

    private static void pushFrom(String namesrv, String from, String group, String topic) throws Exception {
        RECEIVED.put(group, new CopyOnWriteArrayList<>());
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("from-" + group);
        consumer.setHeartbeatBrokerInterval(3_000);
        consumer.setConsumeFromWhere(where(from));
        if (where(from) == ConsumeFromWhere.CONSUME_FROM_TIMESTAMP) {
            consumer.setConsumeTimestamp(from);
        }
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(each -> keep(group, each));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        CONSUMERS.put(group, consumer);
    }

    private static void pollFrom(String namesrv, String from, String group, String topic) throws Exception {
        RECEIVED.put(group, new CopyOnWriteArrayList<>());
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("from-" + group);
        consumer.setHeartbeatBrokerInterval(3_000);
        consumer.setConsumeFromWhere(where(from));
        if (where(from) == ConsumeFromWhere.CONSUME_FROM_TIMESTAMP) {
            consumer.setConsumeTimestamp(from);
        }
        consumer.subscribe(topic, "*");
        consumer.start();
        Thread polling = new Thread(() -> {
            while (consumer.isRunning()) {
                consumer.poll(500).forEach(each -> keep(group, each));
            }
        });
        polling.setDaemon(true);
        polling.start();
    }

    /** Sends a body and receives it, within a namespace of the second version; prints the topic as it is seen inside. */
    private static void namespaced(String namesrv, String namespace, String group, String topic, String body)
        throws Exception {
        BlockingQueue<MessageExt> received = new LinkedBlockingQueue<>();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setNamespaceV2(namespace);
        consumer.setInstanceName("in-" + namespace);
        consumer.setHeartbeatBrokerInterval(3_000);
        consumer.setPollNameServerInterval(1_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            received.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = new DefaultMQProducer(group + "_producers");
        producer.setNamesrvAddr(namesrv);
        producer.setNamespaceV2(namespace);
        // Another client than the consumer's: one that starts while its client's heartbeat is under way sends none of its
        // own, and is no member until the next, 30 s later.
        producer.setInstanceName("producing-in-" + namespace);
        producer.start();
        try {
            // Before the consumer starts: otherwise it finds no queues, and looks again only after 20 s.
            producer.send(new Message(topic, body.getBytes(StandardCharsets.UTF_8)));
            consumer.start();
            MessageExt message = received.poll(30, TimeUnit.SECONDS);
            System.out.println(message == null ? "nothing"
                : message.getTopic() + " " + new String(message.getBody(), StandardCharsets.UTF_8));
        } finally {
            producer.shutdown();
            consumer.shutdown();
        }
    }

    /** Sends a half message and leaves it undecided; the producer goes at once, so that nobody can be asked. */
    private static void half(String namesrv, String group, String topic, String body) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("half-of-" + group);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        try {
            System.out.println(producer.sendMessageInTransaction(
                new Message(topic, body.getBytes(StandardCharsets.UTF_8)), null).getMsgId());
        } finally {
            producer.shutdown();
        }
    }

    private static boolean resume(String namesrv, String topic, String messageId) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(NO_CREDENTIALS);
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("resume" + System.nanoTime());
        admin.start();
        try {
            return admin.resumeCheckHalfMessage(topic, messageId);
        } finally {
            admin.shutdown();
        }
    }

    /** Whether a group may read a topic, after it was told so if there is a word for it; mqadmin itself has no command for it. */
    private static boolean readable(String namesrv, String broker, String group, String topic, String told)
        throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(NO_CREDENTIALS);
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("readable" + System.nanoTime());
        admin.start();
        try {
            Boolean value = told == null ? null : Boolean.valueOf(told);
            return admin.updateAndGetGroupReadForbidden(broker, group, topic, value).getReadable();
        } finally {
            admin.shutdown();
        }
    }

    /** NOTIFICATION as Apache's proxy sends it. */
    private static boolean await(String broker, String group, String topic, long milliseconds) throws Exception {
        MQClientAPIExt client = new MQClientAPIExt(new ClientConfig(), new NettyClientConfig(), null, null);
        client.start();
        try {
            NotificationRequestHeader header = new NotificationRequestHeader();
            header.setConsumerGroup(group);
            header.setTopic(topic);
            header.setQueueId(-1);
            header.setPollTime(milliseconds);
            header.setBornTime(System.currentTimeMillis());
            return client.notification(broker, header, milliseconds + 5_000).get();
        } finally {
            client.shutdown();
        }
    }

    private static String quote(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                quoted.append('\\').append(letter);
            } else if (letter < 0x20 || letter > 0x7e) {
                quoted.append(String.format("\\u%04x", (int) letter));
            } else {
                quoted.append(letter);
            }
        }
        return quoted.append('"').toString();
    }
}
