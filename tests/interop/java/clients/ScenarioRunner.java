import java.io.File;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs named scenarios in one JVM and prints one line of JSON for each.
 *
 * Arguments: name server address, comma separated names (or "all", or "list"), a prefix unique to this run.
 * The first group runs alone, because it measures time; the rest runs beside each other.
 */
public final class ScenarioRunner {
    private static final int SCENARIO_SECONDS = 100;

    private final Map<String, Scenario> alone = new LinkedHashMap<>();
    private final Map<String, Scenario> beside = new LinkedHashMap<>();
    private final PrintStream out;
    private final String namesrv;
    private final String prefix;

    private ScenarioRunner(PrintStream out, String namesrv, String prefix) {
        this.out = out;
        this.namesrv = namesrv;
        this.prefix = prefix;
        Latency.register(alone);
        // The longest first, so that they do not begin last.
        Locking.register(beside);
        Retrying.register(beside);
        Membership.register(beside);
        Consuming.register(beside);
        Pulling.register(beside);
        Producing.register(beside);
        Asking.register(beside);
        Relaying.register(beside);
        Promising.register(beside);
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        if (args.length < 3) {
            System.err.println("arguments: NAMESRV NAMES|all|list PREFIX");
            System.exit(2);
        }
        if (args[1].equals("member")) {
            Member.run(out, args[0], Arrays.asList(args).subList(2, args.length));
            return;
        }
        ScenarioRunner runner = new ScenarioRunner(out, args[0], args[2]);
        boolean sound = runner.run(args[1]);
        // Client threads may linger; nothing after this line matters.
        Runtime.getRuntime().halt(sound ? 0 : 1);
    }

    private boolean run(String names) throws Exception {
        Set<String> known = new LinkedHashSet<>(alone.keySet());
        known.addAll(beside.keySet());
        if (names.equals("all") || names.equals("list")) {
            known.removeAll(Relaying.NAMES);
            known.removeAll(Promising.NAMES);
        }
        Set<String> wanted = names.equals("all") || names.equals("list") ? known
            : new LinkedHashSet<>(Arrays.asList(names.split(",")));
        if (names.equals("list")) {
            known.forEach(out::println);
            return true;
        }
        wanted.removeIf(name -> {
            if (known.contains(name)) {
                return false;
            }
            report(name, "skipped", 0, "this driver has no such scenario", new LinkedHashMap<>());
            return true;
        });
        ExecutorService threads = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task);
            thread.setDaemon(true);
            return thread;
        });
        boolean sound = true;
        for (Map.Entry<String, Scenario> each : alone.entrySet()) {
            if (wanted.contains(each.getKey())) {
                sound &= finish(each.getKey(), threads.submit(() -> perform(each.getKey(), each.getValue())));
            }
        }
        Map<String, Future<Boolean>> running = new LinkedHashMap<>();
        int limit = Integer.getInteger("scenarios.at.once", 12);
        java.util.concurrent.Semaphore places = new java.util.concurrent.Semaphore(limit);
        for (Map.Entry<String, Scenario> each : beside.entrySet()) {
            if (wanted.contains(each.getKey())) {
                places.acquire();
                running.put(each.getKey(), threads.submit(() -> {
                    try {
                        return perform(each.getKey(), each.getValue());
                    } finally {
                        places.release();
                    }
                }));
            }
        }
        for (Map.Entry<String, Future<Boolean>> each : running.entrySet()) {
            sound &= finish(each.getKey(), each.getValue());
        }
        return sound;
    }

    private boolean finish(String name, Future<Boolean> future) throws Exception {
        try {
            return future.get(SCENARIO_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException late) {
            StringBuilder where = new StringBuilder("no end after " + SCENARIO_SECONDS + " s");
            for (Map.Entry<Thread, StackTraceElement[]> each : Thread.getAllStackTraces().entrySet()) {
                if (each.getKey().getName().equals("scenario-" + name)) {
                    for (StackTraceElement element : each.getValue()) {
                        where.append("\n  at ").append(element);
                    }
                }
            }
            report(name, "failed", SCENARIO_SECONDS, where.toString(), new LinkedHashMap<>());
            return false;
        }
    }

    private boolean perform(String name, Scenario scenario) {
        Thread.currentThread().setName("scenario-" + name);
        long began = System.nanoTime();
        Stage stage = new Stage(namesrv, prefix, name);
        String outcome = "ok";
        String message = "";
        try {
            scenario.run(stage);
        } catch (Scenario.Skipped skipped) {
            outcome = "skipped";
            message = skipped.getMessage();
        } catch (Throwable error) {
            outcome = "failed";
            StringWriter text = new StringWriter();
            error.printStackTrace(new PrintWriter(text));
            message = error instanceof Scenario.Broken ? error.getMessage() + "\n" + text : text.toString();
        }
        double seconds = (System.nanoTime() - began) / 1e9;
        report(name, outcome, seconds, message, stage.figures);
        stage.close();
        return !outcome.equals("failed");
    }

    private void report(String name, String outcome, double seconds, String message, Map<String, Object> figures) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", name);
        line.put("outcome", outcome);
        line.put("seconds", Math.round(seconds * 1000) / 1000.0);
        line.put("message", message);
        line.put("figures", figures);
        synchronized (out) {
            out.println(Json.write(line));
        }
    }

    /** The command that starts this program again, as another process. */
    static List<String> again(String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java");
        command.add("-Xmx96m");
        command.add("-XX:TieredStopAtLevel=1");
        command.add("-XX:+UseSerialGC");
        for (String name : new String[] {"user.home", "rocketmq.serialize.type", "rocketmq.client.logRoot",
            "rocketmq.client.rebalance.minInterval", "rocketmq.client.rebalance.waitInterval"}) {
            if (System.getProperty(name) != null) {
                command.add("-D" + name + "=" + System.getProperty(name));
            }
        }
        command.addAll(Arrays.asList("-cp", System.getProperty("java.class.path"), "ScenarioRunner"));
        command.addAll(Arrays.asList(arguments));
        return command;
    }
}
