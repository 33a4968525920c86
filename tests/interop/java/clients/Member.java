import java.io.PrintStream;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/** A member in a process of its own, so that it can be killed without a goodbye. Prints each body that it consumed. */
final class Member {
    private Member() {
    }

    static void run(PrintStream out, String namesrv, List<String> arguments) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(arguments.get(0));
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("member-" + System.nanoTime());
        consumer.setPollNameServerInterval(Stage.ROUTE_MILLIS);
        consumer.setHeartbeatBrokerInterval(Stage.HEARTBEAT_MILLIS);
        consumer.setConsumeThreadMin(2);
        consumer.setConsumeThreadMax(2);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(arguments.get(1), "*");
        if (arguments.get(2).equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                print(out, messages);
                return ConsumeOrderlyStatus.SUCCESS;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                print(out, messages);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        consumer.start();
        // Ends with its parent, should that forget to kill it.
        while (System.in.read() >= 0) {
            continue;
        }
        Runtime.getRuntime().halt(0);
    }

    private static synchronized void print(PrintStream out, List<MessageExt> messages) {
        for (MessageExt each : messages) {
            if (!Received.text(each).equals(Stage.WARM_UP)) {
                out.println(each.getQueueId() + " " + Received.text(each));
            }
        }
    }
}
