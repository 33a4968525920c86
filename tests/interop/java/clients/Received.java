import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.rocketmq.common.message.MessageExt;

/** What listeners were given, in the order of arrival over all members. */
final class Received {
    /** One delivery. */
    static final class Delivery {
        final String member;
        final MessageExt message;
        final long nanos = System.nanoTime();
        final int times;

        Delivery(String member, MessageExt message) {
            this.member = member;
            this.message = message;
            // The client reuses the object on a local retry.
            this.times = message.getReconsumeTimes();
        }

        String body() {
            return text(message);
        }
    }

    private final List<Delivery> deliveries = new ArrayList<>();

    static String text(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    /** Notes the message; false for the warm-up that only creates a topic. */
    synchronized boolean add(String member, MessageExt message) {
        if (message.getBody() != null && text(message).equals(Stage.WARM_UP)) {
            return false;
        }
        deliveries.add(new Delivery(member, message));
        notifyAll();
        return true;
    }

    synchronized List<Delivery> all() {
        return new ArrayList<>(deliveries);
    }

    synchronized int count() {
        return deliveries.size();
    }

    synchronized Set<String> bodies() {
        Set<String> bodies = new LinkedHashSet<>();
        deliveries.forEach(each -> bodies.add(each.body()));
        return bodies;
    }

    synchronized Set<String> bodies(String member) {
        Set<String> bodies = new LinkedHashSet<>();
        deliveries.stream().filter(each -> each.member.equals(member)).forEach(each -> bodies.add(each.body()));
        return bodies;
    }

    /** Waits until `done` holds of what has come. */
    synchronized void await(double seconds, String what, Predicate<Received> done) throws Exception {
        long deadline = System.nanoTime() + (long) (seconds * 1e9);
        while (!done.test(this)) {
            long left = (deadline - System.nanoTime()) / 1_000_000;
            if (left <= 0) {
                throw new Scenario.Broken("after " + seconds + " s still waiting for " + what + "; received "
                    + deliveries.size() + " deliveries of " + bodies().size() + " bodies");
            }
            wait(Math.min(left, 100));
        }
    }

    /** Waits for all `bodies`; names some that are missing. */
    void awaitBodies(double seconds, Set<String> bodies) throws Exception {
        try {
            await(seconds, bodies.size() + " bodies", each -> each.bodies().containsAll(bodies));
        } catch (Scenario.Broken late) {
            Set<String> missing = new LinkedHashSet<>(bodies);
            missing.removeAll(bodies());
            List<String> some = new ArrayList<>(missing);
            throw new Scenario.Broken(late.getMessage() + "; missing " + missing.size() + ", e.g. "
                + some.subList(0, Math.min(5, some.size())));
        }
    }
}
