import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONArray;
import com.alibaba.fastjson2.JSONObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.LitePushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;
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
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Sends and receives on request, with the Remoting client and with the gRPC client: a question in JSON per line, an answer per
 * line. Argument: the gateway's address.
 */
public final class Courier {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static final int SECONDS = 40;

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        String address = arguments[0];
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JSONObject asked = JSON.parseObject(line);
            Thread thread = new Thread(() -> {
                JSONObject answer = new JSONObject();
                try {
                    boolean grpc = asked.getString("client").equals("java_grpc");
                    if (asked.getString("op").equals("send")) {
                        answer.put("ids", grpc ? sendGrpc(address, asked) : sendRemoting(address, asked));
                    } else {
                        answer.put("messages", grpc ? receiveGrpc(address, asked) : receiveRemoting(address, asked));
                    }
                } catch (Throwable error) {
                    error.printStackTrace();
                    answer.put("error", error.toString());
                }
                answer.put("id", asked.get("id"));
                synchronized (out) {
                    out.println(answer.toJSONString());
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        Runtime.getRuntime().halt(0);
    }

    private static byte[] bytes(JSONObject message) {
        return message.getString("body").getBytes(StandardCharsets.UTF_8);
    }

    // Remoting.

    private static final class Decisions implements TransactionListener {
        final Map<String, Boolean> decided = new ConcurrentHashMap<>();

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return (Boolean) argument ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return LocalTransactionState.UNKNOW;
        }
    }

    private static JSONArray sendRemoting(String address, JSONObject asked) throws Exception {
        boolean transactional = asked.getString("kind").equals("transactional");
        TransactionMQProducer producer = new TransactionMQProducer(asked.getString("group") + "_producer");
        producer.setTransactionListener(new Decisions());
        producer.setNamesrvAddr(address);
        producer.setInstanceName(asked.getString("group"));
        producer.start();
        JSONArray ids = new JSONArray();
        try {
            for (Object each : asked.getJSONArray("messages")) {
                JSONObject given = (JSONObject) each;
                Message message = new Message(asked.getString("topic"), given.getString("tag"),
                    String.join(" ", given.getList("keys", String.class)), bytes(given));
                for (Map.Entry<String, Object> one : given.getJSONObject("properties").entrySet()) {
                    message.putUserProperty(one.getKey(), one.getValue().toString());
                }
                if (given.containsKey("deliver_at")) {
                    message.setDeliverTimeMs(given.getLongValue("deliver_at"));
                }
                if (given.containsKey("priority")) {
                    message.setPriority(given.getIntValue("priority"));
                }
                SendResult sent;
                if (transactional) {
                    sent = producer.sendMessageInTransaction(message, given.getBoolean("commit"));
                } else if (given.containsKey("message_group")) {
                    String group = given.getString("message_group");
                    MessageAccessor.putProperty(message, MessageConst.PROPERTY_SHARDING_KEY, group);
                    sent = producer.send(message, new SelectMessageQueueByHash(), group);
                } else {
                    sent = producer.send(message);
                }
                ids.add(sent.getMsgId());
            }
        } finally {
            producer.shutdown();
        }
        return ids;
    }

    /** What is received, each once given back and received again. */
    private static final class Taken {
        final JSONArray messages = new JSONArray();
        final Set<String> before = ConcurrentHashMap.newKeySet();
        private final int count;

        Taken(int count) {
            this.count = count;
        }

        boolean first(String id) {
            return before.add(id);
        }

        synchronized void add(JSONObject message) {
            messages.add(message);
            notifyAll();
        }

        synchronized JSONArray await() throws InterruptedException {
            long end = System.nanoTime() + SECONDS * 1_000_000_000L;
            while (messages.size() < count && System.nanoTime() < end) {
                wait(200);
            }
            return messages;
        }
    }

    private static JSONObject told(MessageExt message) {
        JSONObject found = new JSONObject();
        Map<String, String> properties = new HashMap<>(message.getProperties());
        found.put("message_group", properties.remove(MessageConst.PROPERTY_SHARDING_KEY));
        found.put("lite_topic", properties.get(MessageConst.PROPERTY_LITE_TOPIC));
        found.put("priority", properties.get(MessageConst.PROPERTY_PRIORITY));
        String bornHost = properties.get(MessageConst.PROPERTY_BORN_HOST);
        MessageConst.STRING_HASH_SET.forEach(properties::remove);
        found.put("body", new String(message.getBody(), StandardCharsets.UTF_8));
        found.put("tag", message.getTags());
        found.put("keys", message.getKeys().split(" "));
        found.put("properties", properties);
        found.put("message_id", message.getMsgId());
        found.put("attempt", message.getReconsumeTimes() + 1);
        found.put("born_timestamp", message.getBornTimestamp());
        found.put("born_host", bornHost != null ? bornHost : message.getBornHostString());
        found.put("at", System.currentTimeMillis());
        return found;
    }

    private static JSONArray receiveRemoting(String address, JSONObject asked) throws Exception {
        Taken taken = new Taken(asked.getIntValue("count"));
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(asked.getString("group"));
        consumer.setNamesrvAddr(address);
        consumer.setInstanceName(asked.getString("group") + "_consumer");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setSuspendCurrentQueueTimeMillis(200);
        consumer.subscribe(asked.getString("topic"), "*");
        if (asked.getString("kind").equals("fifo")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                MessageExt message = messages.get(0);
                if (taken.first(message.getMsgId())) {
                    context.setSuspendCurrentQueueTimeMillis(200);
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                taken.add(told(message));
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                MessageExt message = messages.get(0);
                if (taken.first(message.getMsgId())) {
                    context.setDelayLevelWhenNextConsume(1);
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                taken.add(told(message));
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        try {
            return taken.await();
        } finally {
            consumer.shutdown();
        }
    }

    // gRPC.

    private static ClientConfiguration configuration(String address) {
        return ClientConfiguration.newBuilder().setEndpoints(address).enableSsl(false).setRequestTimeout(Duration.ofSeconds(10)).build();
    }

    private static JSONArray sendGrpc(String address, JSONObject asked) throws Exception {
        JSONArray ids = new JSONArray();
        String topic = asked.getString("topic");
        try (Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration(address)).setTopics(topic)
            .setTransactionChecker(view -> TransactionResolution.UNKNOWN).build()) {
            for (Object each : asked.getJSONArray("messages")) {
                JSONObject given = (JSONObject) each;
                MessageBuilder builder = PROVIDER.newMessageBuilder().setTopic(topic).setBody(bytes(given))
                    .setTag(given.getString("tag")).setKeys(given.getList("keys", String.class).toArray(new String[0]));
                for (Map.Entry<String, Object> one : given.getJSONObject("properties").entrySet()) {
                    builder.addProperty(one.getKey(), one.getValue().toString());
                }
                if (given.containsKey("message_group")) {
                    builder.setMessageGroup(given.getString("message_group"));
                }
                if (given.containsKey("deliver_at")) {
                    builder.setDeliveryTimestamp(given.getLongValue("deliver_at"));
                }
                if (given.containsKey("priority")) {
                    builder.setPriority(given.getIntValue("priority"));
                }
                if (given.containsKey("lite_topic")) {
                    builder.setLiteTopic(given.getString("lite_topic"));
                }
                if (given.containsKey("commit")) {
                    Transaction transaction = producer.beginTransaction();
                    ids.add(producer.send(builder.build(), transaction).getMessageId().toString());
                    if (given.getBoolean("commit")) {
                        transaction.commit();
                    } else {
                        transaction.rollback();
                    }
                } else {
                    ids.add(producer.send(builder.build()).getMessageId().toString());
                }
            }
        }
        return ids;
    }

    private static JSONObject told(MessageView view) {
        JSONObject found = new JSONObject();
        byte[] body = new byte[view.getBody().remaining()];
        view.getBody().duplicate().get(body);
        found.put("body", new String(body, StandardCharsets.UTF_8));
        found.put("tag", view.getTag().orElse(null));
        found.put("keys", view.getKeys());
        found.put("properties", view.getProperties());
        found.put("message_id", view.getMessageId().toString());
        found.put("message_group", view.getMessageGroup().orElse(null));
        found.put("lite_topic", view.getLiteTopic().orElse(null));
        found.put("priority", view.getPriority().orElse(null));
        found.put("attempt", view.getDeliveryAttempt());
        found.put("born_timestamp", view.getBornTimestamp());
        found.put("born_host", view.getBornHost());
        found.put("at", System.currentTimeMillis());
        return found;
    }

    private static JSONArray receiveGrpc(String address, JSONObject asked) throws Exception {
        Taken taken = new Taken(asked.getIntValue("count"));
        String topic = asked.getString("topic");
        String group = asked.getString("group");
        if (asked.getString("kind").equals("lite")) {
            try (LitePushConsumer consumer = PROVIDER.newLitePushConsumerBuilder().setClientConfiguration(configuration(address))
                .setConsumerGroup(group).bindTopic(topic).setMessageListener(view -> {
                    if (taken.first(view.getMessageId().toString())) {
                        return ConsumeResult.FAILURE;
                    }
                    taken.add(told(view));
                    return ConsumeResult.SUCCESS;
                }).build()) {
                for (String name : asked.getList("lite_topics", String.class)) {
                    consumer.subscribeLite(name);
                }
                return taken.await();
            }
        }
        try (SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(configuration(address))
            .setConsumerGroup(group).setAwaitDuration(Duration.ofSeconds(3))
            .setSubscriptionExpressions(Collections.singletonMap(topic, FilterExpression.SUB_ALL)).build()) {
            long end = System.nanoTime() + SECONDS * 1_000_000_000L;
            while (taken.messages.size() < taken.count && System.nanoTime() < end) {
                List<MessageView> views = consumer.receive(16, Duration.ofSeconds(30));
                for (MessageView view : views) {
                    if (taken.first(view.getMessageId().toString())) {
                        consumer.changeInvisibleDuration(view, Duration.ofSeconds(1));
                    } else {
                        taken.add(told(view));
                        consumer.ack(view);
                    }
                }
            }
        }
        return taken.messages;
    }
}
