/** One named dialogue with a server; throws when the server does not keep RocketMQ's promises. */
@FunctionalInterface
interface Scenario {
    void run(Stage stage) throws Exception;

    /** Says that this client version cannot take part; not a failure. */
    final class Skipped extends Exception {
        Skipped(String reason) {
            super(reason);
        }
    }

    /** A promise that was not kept. */
    final class Broken extends Exception {
        Broken(String what) {
            super(what);
        }
    }
}
