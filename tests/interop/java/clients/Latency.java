import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** How soon a waiting pull learns of a new message. */
final class Latency {
    private static final int COUNT = 100;

    private Latency() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("long_poll_wake", Latency::longPollWake);
    }

    private static void longPollWake(Stage stage) throws Exception {
        stage.create();
        stage.concurrent("a");
        stage.send(stage.message("ready"));
        stage.received.await(20, "the consumer", each -> each.count() == 1);
        Map<String, Long> sent = new ConcurrentHashMap<>();
        for (int number = 0; number < COUNT; number++) {
            String body = "wake-" + number;
            sent.put(body, System.nanoTime());
            stage.send(stage.message(body));
            // Long enough for the next pull of that queue to be waiting again.
            Thread.sleep(number < 20 ? 60 : 25);
        }
        stage.received.await(20, "all", each -> each.bodies().size() == COUNT + 1);
        List<Double> delays = new ArrayList<>();
        for (Received.Delivery each : stage.received.all()) {
            Long began = sent.get(each.body());
            // The first ones warm the client up.
            if (began != null && Integer.parseInt(each.body().substring(5)) >= 20) {
                delays.add((each.nanos - began) / 1e6);
            }
        }
        Collections.sort(delays);
        stage.figures.put("p50_ms", delays.get(delays.size() / 2));
        stage.figures.put("p90_ms", delays.get(delays.size() * 9 / 10));
        stage.figures.put("max_ms", delays.get(delays.size() - 1));
        Stage.check(delays.get(delays.size() / 2) < 20, "median " + delays.get(delays.size() / 2) + " ms");
    }
}
