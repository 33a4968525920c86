import java.nio.charset.StandardCharsets;
import java.util.Scanner;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** One member of a topic that other kinds of clients use too: prints each body, sends each line of its input. */
final class Crossing {
    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(arguments[2]);
        consumer.setNamesrvAddr(arguments[0]);
        // See Stage.HEARTBEAT_MILLIS.
        consumer.setHeartbeatBrokerInterval(3_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                System.out.println("got " + new String(message.getBody(), StandardCharsets.UTF_8));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        DefaultMQProducer producer = new DefaultMQProducer(arguments[2] + "_producers");
        producer.setNamesrvAddr(arguments[0]);
        producer.start();
        System.out.println("ready");
        try (Scanner lines = new Scanner(System.in, "UTF-8")) {
            while (lines.hasNextLine()) {
                producer.send(new Message(topic, lines.nextLine().getBytes(StandardCharsets.UTF_8)), 10_000);
            }
        }
        System.exit(0);
    }
}
