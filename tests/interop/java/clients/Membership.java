import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.common.message.MessageQueue;

/** Groups of several members: sharing, leaving, dying, and broadcasting to all. */
final class Membership {
    private Membership() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("clustering_member_killed", Membership::memberKilled);
        scenarios.put("orderly_member_killed", Membership::orderlyMemberKilled);
        scenarios.put("clustering_shared", Membership::shared);
        scenarios.put("push_orderly_two_members", Membership::orderlyTwoMembers);
        scenarios.put("broadcasting", Membership::broadcasting);
    }

    /** Another process that is a member of the stage's group. */
    private static final class Other implements AutoCloseable {
        private final Process process;
        private final Set<String> bodies = Collections.synchronizedSet(new LinkedHashSet<>());
        private final Set<Integer> queues = Collections.synchronizedSet(new HashSet<>());

        Other(Stage stage, String kind) throws Exception {
            ProcessBuilder builder = new ProcessBuilder(
                ScenarioRunner.again(stage.namesrv, "member", stage.group, stage.topic, kind));
            builder.redirectError(ProcessBuilder.Redirect.INHERIT);
            process = builder.start();
            stage.onClose(this);
            Thread reader = new Thread(() -> {
                try (BufferedReader lines = new BufferedReader(
                    new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                        String[] parts = line.split(" ", 2);
                        queues.add(Integer.valueOf(parts[0]));
                        bodies.add(parts[1]);
                    }
                } catch (Exception ended) {
                    System.err.println("member: " + ended);
                }
            });
            reader.setDaemon(true);
            reader.start();
        }

        void kill() throws Exception {
            process.destroyForcibly().waitFor();
        }

        @Override
        public void close() throws Exception {
            kill();
        }
    }

    /** Sends until both members consume, so that the queues are shared out. */
    private static Set<String> sendUntilShared(Stage stage, Other other) throws Exception {
        Set<String> sent = new LinkedHashSet<>();
        long deadline = System.nanoTime() + 40_000_000_000L;
        int round = 0;
        int before = 0;
        int own = 0;
        while (other.bodies.size() - before < 1 || stage.received.count() - own < 1) {
            Stage.check(System.nanoTime() < deadline, "the queues were not shared: " + stage.received.count()
                + " here, " + other.bodies.size() + " there");
            before = other.bodies.size();
            own = stage.received.count();
            sent.addAll(stage.sendMany("shared-" + round++, 8));
            Thread.sleep(300);
        }
        return sent;
    }

    private static void memberKilled(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("here");
        Other other = new Other(stage, "concurrent");
        Set<String> sent = sendUntilShared(stage, other);
        sent.addAll(stage.sendMany("before", 20));
        other.kill();
        long killed = System.nanoTime();
        sent.addAll(stage.sendMany("after", 40));
        stage.received.await(60, "the rest", each -> {
            Set<String> all = new HashSet<>(each.bodies());
            all.addAll(other.bodies);
            return all.containsAll(sent);
        });
        stage.figures.put("gap_seconds", (System.nanoTime() - killed) / 1e9);
        // All four queues belong to the one that is left.
        Set<Integer> queues = new HashSet<>();
        stage.received.all().stream().filter(each -> each.body().startsWith("after"))
            .forEach(each -> queues.add(each.message.getQueueId()));
        Stage.same(4, queues.size(), "queues of the member that is left");
    }

    private static void orderlyMemberKilled(Stage stage) throws Exception {
        stage.create();
        Other other = new Other(stage, "orderly");
        Set<String> sent = new LinkedHashSet<>(stage.sendMany("first", 40));
        Stage.until(40, "the other member", () -> other.bodies.size() == 40);
        other.kill();
        long killed = System.nanoTime();
        Set<String> after = stage.sendMany("after", 40);
        stage.orderly("here");
        stage.received.awaitBodies(90, after);
        stage.figures.put("taken_over_seconds", (System.nanoTime() - killed) / 1e9);
        stage.checkOrderPerQueue();
        sent.addAll(after);
        Set<String> all = new HashSet<>(other.bodies);
        all.addAll(stage.received.bodies());
        Stage.check(all.containsAll(sent), "a gap");
    }

    private static Map<String, Integer> perMember(Stage stage) {
        Map<String, Integer> counts = new HashMap<>();
        stage.received.all().forEach(each -> counts.merge(each.member, 1, Integer::sum));
        return counts;
    }

    private static void shared(Stage stage) throws Exception {
        stage.create();
        DefaultMQPushConsumer a = stage.concurrent("a");
        DefaultMQPushConsumer b = stage.concurrent("b");
        Set<String> sent = new LinkedHashSet<>();
        long deadline = System.nanoTime() + 40_000_000_000L;
        for (int round = 0; perMember(stage).size() < 2; round++) {
            Stage.check(System.nanoTime() < deadline, "one member has it all");
            sent.addAll(stage.sendMany("round-" + round, 8));
            Thread.sleep(200);
        }
        // To each queue as many: left to itself the producer starts anew at a random one when it refreshes the route.
        List<MessageQueue> queues = stage.producer().fetchPublishMessageQueues(stage.topic);
        // While queues change hands both members may have one, and what is in it twice.
        Stage.until(40, "a queue for one member each", () -> {
            Set<MessageQueue> ofA = queuesOf(a, stage.topic);
            Set<MessageQueue> ofB = queuesOf(b, stage.topic);
            return Collections.disjoint(ofA, ofB) && ofA.size() == ofB.size() && ofA.size() * 2 == queues.size();
        });
        Set<String> steady = new LinkedHashSet<>();
        for (int number = 0; number < 80; number++) {
            stage.producer().send(stage.message("steady-" + number), queues.get(number % queues.size()));
            steady.add("steady-" + number);
        }
        sent.addAll(steady);
        stage.received.awaitBodies(20, sent);
        Set<String> both = new HashSet<>(stage.received.bodies("a"));
        both.retainAll(stage.received.bodies("b"));
        both.retainAll(steady);
        Stage.check(both.isEmpty(), "both members consumed " + both);
        stage.figures.put("steady_of_b",
            stage.received.bodies("b").stream().filter(each -> each.startsWith("steady")).count());
        Stage.same(40L, stage.figures.get("steady_of_b"), "share of one of two members");
        b.shutdown();
        Set<String> after = stage.sendMany("after", 40);
        stage.received.awaitBodies(30, after);
        sent.addAll(after);
        Stage.check(stage.received.bodies().containsAll(sent), "a gap");
    }

    /** The queues of a topic that a member believes to have. */
    private static Set<MessageQueue> queuesOf(DefaultMQPushConsumer member, String topic) {
        Set<MessageQueue> all = new HashSet<>(
            member.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet());
        all.removeIf(queue -> !queue.getTopic().equals(topic));
        return all;
    }

    private static void orderlyTwoMembers(Stage stage) throws Exception {
        stage.create();
        stage.orderly("a");
        Set<String> sent = new LinkedHashSet<>();
        for (int number = 0; number < 160; number++) {
            if (number == 40) {
                stage.orderly("b");
            }
            String body = number % 8 + ":" + number;
            stage.producer().send(stage.message(body), (all, message, key) -> all.get((Integer) key % all.size()),
                number % 8);
            sent.add(body);
            Thread.sleep(15);
        }
        Stage.until(40, "messages for both members", () -> {
            if (perMember(stage).size() < 2) {
                sent.addAll(stage.sendMany("more-" + sent.size(), 4));
                Thread.sleep(300);
            }
            return perMember(stage).size() == 2;
        });
        // A queue whose lock was not given back changes hands when a broker's lock ends, after 60 s.
        stage.received.awaitBodies(75, sent);
        stage.figures.put("deliveries", stage.received.count());
        stage.figures.put("sent", sent.size());
        stage.checkOrderPerQueue();
    }

    private static void broadcasting(Stage stage) throws Exception {
        stage.create();
        for (String member : new String[] {"a", "b"}) {
            DefaultMQPushConsumer consumer = stage.newConsumer("*");
            Wire.broadcasting(consumer);
            consumer.registerMessageListener(stage.collecting(member));
            stage.start(consumer);
        }
        Set<String> sent = stage.sendMany("broadcast", 40);
        stage.received.await(20, "all at both members",
            each -> each.bodies("a").containsAll(sent) && each.bodies("b").containsAll(sent));
        Stage.same(80, stage.received.count(), "deliveries");
    }
}
