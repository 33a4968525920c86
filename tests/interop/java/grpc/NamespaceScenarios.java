import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Clients with a namespace of their own: the same names mean other topics and groups. */
final class NamespaceScenarios {
    private NamespaceScenarios() {
    }

    private static void push(GrpcScenarios.Stage stage, MessageListener listener) throws Exception {
        stage.made.add(GrpcScenarios.PROVIDER.newPushConsumerBuilder().setClientConfiguration(stage.configuration)
            .setConsumerGroup(stage.group)
            .setSubscriptionExpressions(Collections.singletonMap(stage.topic, FilterExpression.SUB_ALL))
            .setMessageListener(listener).build());
    }

    private static MessageListener keeping(Set<String> received) {
        return view -> {
            received.add(view.getTopic() + " " + GrpcScenarios.text(view));
            return ConsumeResult.SUCCESS;
        };
    }

    private static Set<String> send(GrpcScenarios.Stage stage, String body) throws Exception {
        Producer producer = stage.producer();
        Set<String> sent = new TreeSet<>();
        for (int number = 0; number < 10; number++) {
            producer.send(stage.message(body + " " + number).build());
            sent.add(stage.topic + " " + body + " " + number);
        }
        return sent;
    }

    /** One topic and one group by name, in two namespaces and in none: nobody sees the messages of the others. */
    static void apart(GrpcScenarios.Stage stage) throws Exception {
        GrpcScenarios.Stage one = stage.in("one");
        GrpcScenarios.Stage two = stage.in("two");
        Set<String> inOne = ConcurrentHashMap.newKeySet();
        Set<String> inTwo = ConcurrentHashMap.newKeySet();
        Set<String> outside = ConcurrentHashMap.newKeySet();
        Set<String> sentOne = send(one, "one");
        Set<String> sentTwo = send(two, "two");
        Set<String> sentOutside = send(stage, "outside");
        push(one, keeping(inOne));
        push(two, keeping(inTwo));
        push(stage, keeping(outside));
        GrpcScenarios.await("thirty messages", 40, () -> inOne.size() + inTwo.size() + outside.size() >= 30);
        Thread.sleep(1000);
        GrpcScenarios.check(new TreeSet<>(inOne).equals(sentOne), "in one: " + inOne);
        GrpcScenarios.check(new TreeSet<>(inTwo).equals(sentTwo), "in two: " + inTwo);
        GrpcScenarios.check(new TreeSet<>(outside).equals(sentOutside), "outside: " + outside);
    }

    /** The group in namespace one was made by the test, with one retry; what fails then is in that group's own dead-letter queue. */
    static void deadLetter(GrpcScenarios.Stage stage) throws Exception {
        GrpcScenarios.Stage one = stage.in("one");
        GrpcScenarios.Stage two = stage.in("two");
        List<Integer> attempts = new CopyOnWriteArrayList<>();
        List<Integer> others = new CopyOnWriteArrayList<>();
        push(one, view -> {
            attempts.add(view.getDeliveryAttempt());
            return ConsumeResult.FAILURE;
        });
        push(two, view -> {
            others.add(view.getDeliveryAttempt());
            return ConsumeResult.SUCCESS;
        });
        one.producer().send(one.message("hopeless").build());
        two.producer().send(two.message("fine").build());
        SimpleConsumer inside = dead(one, "%DLQ%" + stage.group, 40);
        List<MessageView> views = GrpcScenarios.drain(inside, 1, 30);
        GrpcScenarios.check(views.size() == 1 && GrpcScenarios.text(views.get(0)).equals("hopeless"), "dead letters " + views);
        GrpcScenarios.check(views.get(0).getTopic().equals("%DLQ%" + stage.group), "topic " + views.get(0).getTopic());
        GrpcScenarios.check(attempts.equals(Arrays.asList(1, 2)), "attempts " + attempts);
        // The same queue by its whole name, seen from outside.
        views = GrpcScenarios.drain(dead(stage, "%DLQ%one%" + stage.group, 10), 1, 30);
        GrpcScenarios.check(views.size() == 1 && GrpcScenarios.text(views.get(0)).equals("hopeless"), "seen from outside " + views);
        GrpcScenarios.check(others.equals(Arrays.asList(1)), "attempts in the other namespace " + others);
        for (GrpcScenarios.Stage other : new GrpcScenarios.Stage[] {two, stage}) {
            try {
                dead(other, "%DLQ%" + stage.group, 0);
            } catch (IllegalStateException none) {
                continue;
            }
            GrpcScenarios.check(false, "there are dead letters of a group that has none");
        }
    }

    private static SimpleConsumer dead(GrpcScenarios.Stage stage, String topic, int seconds) throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
        while (true) {
            try {
                SimpleConsumer consumer = GrpcScenarios.PROVIDER.newSimpleConsumerBuilder()
                    .setClientConfiguration(stage.configuration).setConsumerGroup(stage.group + "_dead")
                    .setAwaitDuration(Duration.ofSeconds(5))
                    .setSubscriptionExpressions(Collections.singletonMap(topic, FilterExpression.SUB_ALL)).build();
                stage.made.add(consumer);
                return consumer;
            } catch (Exception notYet) {
                GrpcScenarios.check(System.nanoTime() < end, "no dead-letter queue: " + notYet);
                Thread.sleep(500);
            }
        }
    }
}
