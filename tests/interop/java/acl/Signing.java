import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/**
 * The official client with a credential. Reads lines "ACTION USER SECRET TOPIC GROUP BODY", words separated by tabs, and
 * answers each with one line: "OK ..." or the code of the error ("CODE 16 ...") as the client tells it.
 */
public final class Signing {
    private static int clients;

    private Signing() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream real = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "OK " + perform(args[0], line.split("\t", -1));
            } catch (MQBrokerException error) {
                answer = "CODE " + error.getResponseCode() + " " + error.getErrorMessage();
            } catch (MQClientException error) {
                answer = "CODE " + error.getResponseCode() + " " + error.getErrorMessage();
                if (error.getCause() instanceof MQBrokerException) {
                    answer += " " + ((MQBrokerException) error.getCause()).getErrorMessage();
                }
            } catch (Throwable error) {
                answer = "ERROR " + error;
            }
            real.println(answer.replace('\n', ' '));
        }
        Runtime.getRuntime().halt(0);
    }

    private static String perform(String namesrv, String[] words) throws Exception {
        RPCHook hook = words[1].isEmpty() ? null : new AclClientRPCHook(new SessionCredentials(words[1], words[2]));
        switch (words[0]) {
            case "route":
                return route(namesrv, hook, words[3]);
            case "send":
                return send(namesrv, hook, words[3], words[5]);
            case "transaction":
                return transaction(namesrv, hook, words[3], words[4], words[5]);
            case "queues":
                return queues(namesrv, hook, words[3], words[4]);
            case "consume":
                return consume(namesrv, hook, words[3], words[4], 0);
            case "again":
                return consume(namesrv, hook, words[3], words[4], 1);
            case "place":
                return place(namesrv, hook, words[3], words[5]);
            case "view":
                return view(namesrv, hook, words[3], words[4], words[5]);
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private static String instance() {
        clients += 1;
        return "signing-" + clients;
    }

    private static DefaultMQProducer producer(String namesrv, RPCHook hook) throws Exception {
        DefaultMQProducer made = new DefaultMQProducer("signing_producers", hook);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setSendMsgTimeout(10_000);
        made.setRetryTimesWhenSendFailed(0);
        made.start();
        return made;
    }

    /** What the name server says, which senders and consumers keep to themselves. */
    private static String route(String namesrv, RPCHook hook, String topic) throws Exception {
        DefaultMQProducer made = producer(namesrv, hook);
        try {
            return "" + made.getDefaultMQProducerImpl().getmQClientFactory().getMQClientAPIImpl()
                .getTopicRouteInfoFromNameServer(topic, 5_000).getQueueDatas().size();
        } finally {
            made.shutdown();
        }
    }

    private static String send(String namesrv, RPCHook hook, String topic, String body) throws Exception {
        DefaultMQProducer made = producer(namesrv, hook);
        try {
            return made.send(new Message(topic, "tag", "key", body.getBytes(StandardCharsets.UTF_8))).getMsgId();
        } finally {
            made.shutdown();
        }
    }

    /** Sends, and tells where the message is. */
    private static String place(String namesrv, RPCHook hook, String topic, String body) throws Exception {
        DefaultMQProducer made = producer(namesrv, hook);
        try {
            return made.send(new Message(topic, body.getBytes(StandardCharsets.UTF_8))).getOffsetMsgId();
        } finally {
            made.shutdown();
        }
    }

    /** The body of the message at a place. */
    @SuppressWarnings("deprecation")
    private static String view(String namesrv, RPCHook hook, String topic, String group, String id) throws Exception {
        DefaultMQPullConsumer made = new DefaultMQPullConsumer(group, hook);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.start();
        try {
            MessageExt found = made.viewMessage(topic, id);
            return new String(found.getBody(), StandardCharsets.UTF_8);
        } finally {
            made.shutdown();
        }
    }

    private static String transaction(String namesrv, RPCHook hook, String topic, String group, String body) throws Exception {
        TransactionMQProducer made = new TransactionMQProducer(group, hook);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        made.start();
        try {
            Message message = new Message(topic, body.getBytes(StandardCharsets.UTF_8));
            return made.sendMessageInTransaction(message, null).getLocalTransactionState().toString();
        } finally {
            made.shutdown();
        }
    }

    /** Offsets that only readers need. */
    @SuppressWarnings("deprecation")
    private static String queues(String namesrv, RPCHook hook, String topic, String group) throws Exception {
        DefaultMQPullConsumer made = new DefaultMQPullConsumer(group, hook);
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.start();
        try {
            Set<MessageQueue> found = made.fetchSubscribeMessageQueues(topic);
            long sum = 0;
            for (MessageQueue queue : found) {
                sum += made.maxOffset(queue) - made.minOffset(queue);
            }
            return "" + sum;
        } finally {
            made.shutdown();
        }
    }

    /** @param refusals how often a message is sent back before it is taken */
    private static String consume(String namesrv, RPCHook hook, String topic, String group, int refusals)
        throws Exception {
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        DefaultMQPushConsumer made = new DefaultMQPushConsumer(group, hook, new AllocateMessageQueueAveragely());
        made.setNamesrvAddr(namesrv);
        made.setInstanceName(instance());
        made.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // A broker makes the retry topic with the first heartbeat, after this client has looked for it.
        made.setPollNameServerInterval(1_000);
        // A rebalance's heartbeat may be left out; pulls are refused until the next.
        made.setHeartbeatBrokerInterval(3_000);
        made.subscribe(topic, "*");
        made.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            if (messages.get(0).getReconsumeTimes() < refusals) {
                context.setDelayLevelWhenNextConsume(1);
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            messages.forEach(each -> bodies.add(new String(each.getBody(), StandardCharsets.UTF_8)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        made.start();
        try {
            String first = bodies.poll(refusals == 0 ? 6 : 12, TimeUnit.SECONDS);
            if (first == null) {
                return "nothing";
            }
            // Only what came before the end is looked at.
            return String.join(",", Collections.singletonList(first));
        } finally {
            made.shutdown();
        }
    }
}
