import com.alibaba.fastjson2.JSONObject;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends and consumes all the time with the Remoting client and with the gRPC client: a line in JSON for each message sent, each
 * send that the client gave up, each message got. Arguments: the gateway's address, a prefix of topics and groups, milliseconds
 * between sends. A line on standard input ends the sending, its end the program.
 */
public final class Load {
    private static final int PATIENCE_MS = 15_000;
    private static PrintStream out;
    private static volatile boolean stopping;

    private interface Sending {
        void send(byte[] body) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        String address = arguments[0];
        int pause = Integer.parseInt(arguments[2]);
        Thread remoting = new Thread(() -> guarded("java", () -> remoting(address, arguments[1] + "java", pause)));
        Thread grpc = new Thread(() -> guarded("java_grpc", () -> grpc(address, arguments[1] + "java_grpc", pause)));
        remoting.start();
        grpc.start();
        System.in.read();
        stopping = true;
        while (System.in.read() >= 0) {
            Thread.yield();
        }
        Runtime.getRuntime().halt(0);
    }

    private interface Part {
        void run() throws Exception;
    }

    private static void guarded(String client, Part part) {
        try {
            part.run();
        } catch (Throwable error) {
            error.printStackTrace();
            tell(client, "broken", error.toString(), 0);
        }
    }

    private static void tell(String client, String event, String what, long took) {
        JSONObject line = new JSONObject();
        line.put("client", client);
        line.put("event", event);
        line.put("what", what);
        line.put("took", took);
        synchronized (Load.class) {
            out.println(line.toJSONString());
        }
    }

    private static void sendAll(String client, int pause, Sending sending) throws InterruptedException {
        for (int number = 0; !stopping; number++) {
            String body = client + "-" + number;
            long began = System.nanoTime();
            while (true) {
                try {
                    sending.send(body.getBytes(StandardCharsets.UTF_8));
                    break;
                } catch (Exception error) {
                    error.printStackTrace();
                    tell(client, "failed", error.toString(), (System.nanoTime() - began) / 1_000_000);
                    Thread.sleep(200);
                }
            }
            tell(client, "sent", body, (System.nanoTime() - began) / 1_000_000);
            Thread.sleep(pause);
        }
        tell(client, "stopped", "", 0);
    }

    private static void remoting(String address, String name, int pause) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(name + "_group");
        consumer.setNamesrvAddr(address);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(name, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(one -> tell("java", "got", new String(one.getBody(), StandardCharsets.UTF_8), 0));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = new DefaultMQProducer(name + "_producer");
        producer.setNamesrvAddr(address);
        producer.setSendMsgTimeout(PATIENCE_MS); // retries are the default: two more
        producer.start();
        consumer.start();
        sendAll("java", pause, body -> {
            SendStatus status = producer.send(new Message(name, body)).getSendStatus();
            if (status != SendStatus.SEND_OK) {
                throw new IllegalStateException(status.toString());
            }
        });
    }

    private static void grpc(String address, String name, int pause) throws Exception {
        ClientServiceProvider provider = ClientServiceProvider.loadService();
        ClientConfiguration configuration = ClientConfiguration.newBuilder().setEndpoints(address).enableSsl(false)
            .setRequestTimeout(Duration.ofMillis(PATIENCE_MS)).build();
        Producer producer = provider.newProducerBuilder().setClientConfiguration(configuration).setTopics(name).build();
        provider.newPushConsumerBuilder().setClientConfiguration(configuration).setConsumerGroup(name + "_group")
            .setSubscriptionExpressions(Collections.singletonMap(name, FilterExpression.SUB_ALL))
            .setMessageListener(view -> {
                tell("java_grpc", "got", StandardCharsets.UTF_8.decode(view.getBody().duplicate()).toString(), 0);
                return ConsumeResult.SUCCESS;
            }).build();
        sendAll("java_grpc", pause,
            body -> producer.send(provider.newMessageBuilder().setTopic(name).setBody(body).build()));
    }
}
