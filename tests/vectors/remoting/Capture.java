import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** Drives Apache's own client and mqadmin through many requests; capture_remoting.py records the bytes. */
public class Capture {
    static final String TOPIC = "CaptureTopic";
    static String nameServer;
    static String broker;
    static volatile boolean finished;

    static void step(String name) {
        System.out.println("STEP " + name);
        System.out.flush();
    }

    interface Work { void run() throws Exception; }

    static void attempt(String name, Work work) {
        step(name);
        try {
            work.run();
        } catch (Throwable error) {
            System.out.println("FAILED " + name + ": " + error);
        }
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** mqadmin ends the process when an option is missing; here that is only a failed step. */
    static void forbidExit() {
        System.setSecurityManager(new SecurityManager() {
            public void checkExit(int status) {
                if (finished) {
                    return;
                }
                throw new SecurityException("exit " + status);
            }
            public void checkPermission(java.security.Permission permission) {
            }
        });
    }

    public static void main(String[] args) throws Exception {
        forbidExit();
        nameServer = args[0];
        broker = args[1];
        boolean all = args[2].equals("all");
        System.setProperty("rocketmq.namesrv.addr", nameServer);
        DefaultMQProducer producer = new DefaultMQProducer("CaptureProducer");
        producer.setNamesrvAddr(nameServer);
        producer.setSendMsgTimeout(10000);
        producer.setCompressMsgBodyOverHowmuch(2000);
        producer.start();
        DefaultMQAdminExt admin = new DefaultMQAdminExt();
        admin.setNamesrvAddr(nameServer);
        admin.start();
        for (int attempt = 0; attempt < 60; attempt++) {
            try {
                admin.examineTopicRouteInfo("TBW102");
                break;
            } catch (Exception notYet) {
                Thread.sleep(500);
            }
        }
        final List<String> ids = new ArrayList<>();
        attempt("send", () -> {
            Message message = new Message(TOPIC, "TagA", "key1 key2", utf8("hello"));
            message.putUserProperty("city", "\u5317\u4eac");
            message.putUserProperty("quote", "a\"b\\c/d");
            SendResult result = producer.send(message);
            ids.add(result.getMsgId());
            ids.add(result.getOffsetMsgId());
        });
        attempt("send delayed", () -> {
            Message message = new Message(TOPIC, "TagB", utf8("later"));
            message.setDelayTimeLevel(1);
            producer.send(message);
        });
        attempt("send compressed", () -> producer.send(new Message(TOPIC, new byte[3000])));
        attempt("send one-way", () -> producer.sendOneway(new Message(TOPIC, utf8("one way"))));
        attempt("send batch", () -> producer.send(Arrays.asList(
            new Message(TOPIC, "TagA", "k1", utf8("first")), new Message(TOPIC, "TagA", "k2", utf8("second")))));
        attempt("send to a bad topic", () -> producer.send(new Message("bad%topic", utf8("x"))));
        attempt("send to a topic that may not be created", () -> {
            List<MessageQueue> queues = producer.fetchPublishMessageQueues("NoSuchTopic");
            System.out.println(queues);
        });

        attempt("transactions", () -> {
            TransactionMQProducer transactional = new TransactionMQProducer("CaptureTransactions");
            transactional.setNamesrvAddr(nameServer);
            transactional.setTransactionListener(new TransactionListener() {
                public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                    return (LocalTransactionState) argument;
                }
                public LocalTransactionState checkLocalTransaction(MessageExt message) {
                    return LocalTransactionState.COMMIT_MESSAGE;
                }
            });
            transactional.start();
            for (LocalTransactionState state : LocalTransactionState.values()) {
                transactional.sendMessageInTransaction(new Message(TOPIC, "TagT", utf8(state.name())), state);
            }
            if (all) {
                Thread.sleep(8000);
            }
            transactional.shutdown();
        });

        final AtomicInteger seen = new AtomicInteger();
        DefaultMQPushConsumer push = new DefaultMQPushConsumer("CapturePush");
        push.setNamesrvAddr(nameServer);
        push.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        push.subscribe(TOPIC, "TagA || TagT");
        push.setPersistConsumerOffsetInterval(1000);
        push.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
            seen.incrementAndGet() == 1 ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        attempt("push consumer", () -> {
            push.start();
            Thread.sleep(4000);
        });

        DefaultMQPushConsumer orderly = new DefaultMQPushConsumer("CaptureOrderly");
        orderly.setNamesrvAddr(nameServer);
        orderly.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        orderly.subscribe(TOPIC, "*");
        orderly.registerMessageListener((MessageListenerOrderly) (messages, context) -> ConsumeOrderlyStatus.SUCCESS);
        attempt("orderly consumer", () -> {
            orderly.start();
            Thread.sleep(2000);
            orderly.shutdown();
        });

        attempt("lite pull consumer", () -> {
            DefaultLitePullConsumer pull = new DefaultLitePullConsumer("CapturePull");
            pull.setNamesrvAddr(nameServer);
            pull.setAutoCommit(false);
            pull.start();
            List<MessageQueue> queues = new ArrayList<>(pull.fetchMessageQueues(TOPIC));
            pull.assign(queues);
            pull.seekToBegin(queues.get(0));
            pull.poll(3000);
            pull.commitSync();
            pull.offsetForTimestamp(queues.get(0), 0L);
            pull.committed(queues.get(0));
            pull.seekToEnd(queues.get(0));
            pull.shutdown();
        });

        attempt("offsets", () -> {
            MessageQueue queue = producer.fetchPublishMessageQueues(TOPIC).get(0);
            admin.maxOffset(queue);
            admin.minOffset(queue);
            admin.searchOffset(queue, System.currentTimeMillis());
            admin.earliestMsgStoreTime(queue);
        });
        attempt("view message", () -> admin.viewMessage(TOPIC, ids.get(1)));
        attempt("query message", () -> admin.queryMessage(TOPIC, "key1", 10, 0, Long.MAX_VALUE));

        if (all) {
            attempt("request and reply", () -> {
                DefaultMQProducer replier = new DefaultMQProducer("CaptureReplier");
                replier.setNamesrvAddr(nameServer);
                replier.start();
                DefaultMQPushConsumer answering = new DefaultMQPushConsumer("CaptureAnswering");
                answering.setNamesrvAddr(nameServer);
                answering.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
                answering.subscribe("CaptureRequests", "*");
                answering.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                    for (MessageExt message : messages) {
                        try {
                            replier.send(MessageUtil.createReplyMessage(message, utf8("answer")));
                        } catch (Exception error) {
                            System.out.println("FAILED reply: " + error);
                        }
                    }
                    return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
                });
                producer.createTopic("TBW102", "CaptureRequests", 4, Collections.emptyMap());
                answering.start();
                Thread.sleep(2000);
                System.out.println(producer.request(new Message("CaptureRequests", utf8("question")), 8000));
                answering.shutdown();
                replier.shutdown();
            });
            attempt("pop consumer", () -> {
                admin.setMessageRequestMode(broker, TOPIC, "CapturePop", MessageRequestMode.POP, 0, 3000);
                DefaultMQPushConsumer pop = new DefaultMQPushConsumer("CapturePop");
                pop.setNamesrvAddr(nameServer);
                pop.setClientRebalance(false);
                pop.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
                pop.subscribe(TOPIC, "*");
                AtomicInteger popped = new AtomicInteger();
                pop.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
                    popped.incrementAndGet() == 1
                        ? ConsumeConcurrentlyStatus.RECONSUME_LATER : ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
                pop.start();
                Thread.sleep(6000);
                pop.shutdown();
            });
            String[] commands = {
                "updateTopic -b %b -t CaptureMade -r 4 -w 4 -a +message.type=FIFO",
                "updateTopic -c DefaultCluster -t CaptureMade2 -r 2 -w 2",
                "updateSubGroup -b %b -g CaptureGroup -r 5 -o true",
                "clusterList -n %n", "clusterList -m -n %n", "brokerStatus -b %b", "topicList -n %n", "topicList -c -n %n",
                "topicRoute -t CaptureTopic", "topicStatus -t CaptureTopic", "topicClusterList -t CaptureTopic",
                "consumerProgress -g CapturePush", "consumerProgress", "consumerConnection -g CapturePush",
                "consumerStatus -g CapturePush", "producerConnection -g CaptureProducer -t CaptureTopic",
                "producer -b %b", "queryMsgById -t CaptureTopic -i %o", "queryMsgByKey -t CaptureTopic -k key1",
                "queryMsgByUniqueKey -t CaptureTopic -i %u", "queryMsgByUniqueKey -t CaptureTopic -i %u -g CapturePush -d %c",
                "queryMsgByOffset -t CaptureTopic -b broker-a -i 0 -o 0",
                "resetOffsetByTime -g CapturePush -t CaptureTopic -s -1", "getBrokerConfig -b %b",
                "queryCq -q 0 -i 0 -c 5 -t CaptureTopic -b %b", "statsAll -t CaptureTopic", "brokerConsumeStats -b %b",
                "getConsumerConfig -g CaptureGroup", "exportMetadata -b %b -f %f", "getNamesrvConfig", "updateKvConfig -s n -k k -v v",
                "updateOrderConf -t CaptureTopic -v broker-a:4 -m put", "createUser -b %b -u someone -p secret -t Normal",
                "listUser -b %b", "getUser -b %b -u someone",
                "createAcl -b %b -s User:someone -r Topic:CaptureTopic -a Pub,Sub -d Allow -i 127.0.0.1", "listAcl -b %b",
                "getAcl -b %b -s User:someone", "deleteAcl -b %b -s User:someone", "deleteUser -b %b -u someone",
                "haStatus -b %b", "sendMsgStatus -b broker-a -s 10 -c 1",
                "setConsumeMode -b %b -t CaptureTopic -g CaptureOther -m POP -q 1",
                "deleteTopic -c DefaultCluster -t CaptureMade2", "deleteSubGroup -b %b -g CaptureGroup",
            };
            for (String command : commands) {
                String filled = command.replace("%b", broker).replace("%n", nameServer).replace("%f", args[3]);
                if (ids.size() == 2) {
                    filled = filled.replace("%u", ids.get(0)).replace("%o", ids.get(1));
                }
                filled = filled.replace("%c", push.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId());
                final String[] words = filled.split(" ");
                attempt("mqadmin " + command, () -> MQAdminStartup.main0(words, null));
            }
            attempt("query consume time span", () -> admin.queryConsumeTimeSpan(TOPIC, "CapturePush"));
            attempt("subscription groups", () -> admin.getAllSubscriptionGroup(broker, 5000));
            attempt("topic configuration", () -> admin.getAllTopicConfig(broker, 5000));
            attempt("running information", () -> admin.getConsumerRunningInfo("CapturePush",
                push.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId(), false));
            attempt("consume status", () -> admin.getConsumeStatus(TOPIC, "CapturePush", ""));
            attempt("stats", () -> admin.viewBrokerStatsData(broker, "TOPIC_PUT_NUMS", TOPIC));
            attempt("topics of a cluster", () -> admin.fetchTopicsByCLuster("DefaultCluster"));
            attempt("who consumes", () -> admin.queryTopicConsumeByWho(TOPIC));
            attempt("topics of a consumer", () -> admin.queryTopicsByConsumer("CapturePush"));
            attempt("subscription", () -> admin.querySubscription("CapturePush", TOPIC));
            attempt("clone offsets", () -> admin.cloneGroupOffset("CapturePush", "CaptureClone", TOPIC, false));
        }
        push.shutdown();
        admin.shutdown();
        producer.shutdown();
        step("done");
        finished = true;
        Runtime.getRuntime().halt(0);
    }
}
