import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.LitePushConsumer;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.OffsetOption;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.java.exception.LiteSubscriptionQuotaExceededException;

/** Lite topics: thousands below one topic, received by who is subscribed to them. */
final class LiteScenarios {
    private LiteScenarios() {
    }

    private static LitePushConsumer consumer(GrpcScenarios.Stage stage, MessageListener listener) throws Exception {
        LitePushConsumer consumer = GrpcScenarios.PROVIDER.newLitePushConsumerBuilder()
            .setClientConfiguration(stage.configuration).bindTopic(stage.topic).setConsumerGroup(stage.group)
            .setMessageListener(listener).build();
        stage.made.add(consumer);
        return consumer;
    }

    private static void send(Producer producer, GrpcScenarios.Stage stage, String liteTopic, String body) throws Exception {
        producer.send(stage.message(body).setLiteTopic(liteTopic).build());
    }

    static void push(GrpcScenarios.Stage stage) throws Exception {
        Producer producer = stage.producer();
        List<String> received = new CopyOnWriteArrayList<>();
        AtomicInteger refused = new AtomicInteger();
        LitePushConsumer consumer = consumer(stage, view -> {
            String text = view.getLiteTopic().orElse("none") + " " + GrpcScenarios.text(view);
            if (text.equals("b again") && view.getDeliveryAttempt() == 1) {
                refused.incrementAndGet();
                return ConsumeResult.FAILURE;
            }
            received.add(text);
            return ConsumeResult.SUCCESS;
        });
        consumer.subscribeLite("a");
        consumer.subscribeLite("b");
        GrpcScenarios.check(consumer.getLiteTopicSet().size() == 2, "subscribed to " + consumer.getLiteTopicSet());
        send(producer, stage, "a", "1");
        send(producer, stage, "b", "again");
        send(producer, stage, "c", "never");
        GrpcScenarios.await("two messages", 30, () -> received.containsAll(Arrays.asList("a 1", "b again")));
        GrpcScenarios.check(refused.get() == 1, "refused " + refused.get() + " times");
        consumer.unsubscribeLite("a");
        send(producer, stage, "a", "2");
        send(producer, stage, "b", "3");
        GrpcScenarios.await("the third", 20, () -> received.contains("b 3"));
        Thread.sleep(500);
        GrpcScenarios.check(!received.contains("a 2"), "a lite topic that is unsubscribed: " + received);
        consumer.subscribeLite("a", OffsetOption.MIN_OFFSET);
        GrpcScenarios.await("all of a again", 20,
            () -> received.contains("a 2") && Collections.frequency(received, "a 1") == 2);
        GrpcScenarios.check(received.size() == 5, "came " + received);
    }

    static void fifo(GrpcScenarios.Stage stage) throws Exception {
        Producer producer = stage.producer();
        List<String> received = new CopyOnWriteArrayList<>();
        LitePushConsumer consumer = consumer(stage, view -> {
            received.add(view.getLiteTopic().get() + GrpcScenarios.text(view));
            return ConsumeResult.SUCCESS;
        });
        consumer.subscribeLite("a");
        consumer.subscribeLite("b");
        for (int number = 0; number < 8; number++) {
            send(producer, stage, "a", String.valueOf(number));
            send(producer, stage, "b", String.valueOf(number));
        }
        GrpcScenarios.await("16 messages", 30, () -> received.size() >= 16);
        for (String lite : new String[] {"a", "b"}) {
            StringBuilder found = new StringBuilder();
            received.stream().filter(text -> text.startsWith(lite)).forEach(text -> found.append(text.substring(1)));
            GrpcScenarios.check(found.toString().equals("01234567"), lite + " came as " + found);
        }
    }

    static void quota(GrpcScenarios.Stage stage) throws Exception {
        stage.producer();
        LitePushConsumer consumer = consumer(stage, view -> ConsumeResult.SUCCESS);
        consumer.subscribeLite("a");
        try {
            consumer.subscribeLite("b");
        } catch (LiteSubscriptionQuotaExceededException refused) {
            consumer.unsubscribeLite("a");
            consumer.subscribeLite("b");
            return;
        }
        throw new IllegalStateException("a quota of one lite topic was not kept: " + consumer.getLiteTopicSet());
    }

    static void exclusive(GrpcScenarios.Stage stage) throws Exception {
        Producer producer = stage.producer();
        Set<String> first = ConcurrentHashMap.newKeySet();
        Set<String> second = ConcurrentHashMap.newKeySet();
        LitePushConsumer before = consumer(stage, view -> {
            first.add(GrpcScenarios.text(view));
            return ConsumeResult.SUCCESS;
        });
        before.subscribeLite("a");
        send(producer, stage, "a", "1");
        GrpcScenarios.await("the first", 20, () -> first.contains("1"));
        LitePushConsumer after = consumer(stage, view -> {
            second.add(GrpcScenarios.text(view));
            return ConsumeResult.SUCCESS;
        });
        after.subscribeLite("a");
        GrpcScenarios.await("that the first is told", 20, () -> before.getLiteTopicSet().isEmpty());
        send(producer, stage, "a", "2");
        GrpcScenarios.await("the second", 20, () -> second.contains("2"));
        GrpcScenarios.check(!first.contains("2") && !second.contains("1"), first + " and " + second);
    }
}
