import java.util.Map;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Locks of queues, seen on the wire: exclusive, renewable, given back, and gone after a minute of silence. */
final class Locking {
    private static final int LOCK_BATCH_MQ = 41;
    private static final int UNLOCK_BATCH_MQ = 42;

    private Locking() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("queue_lock_expires", Locking::expires);
        scenarios.put("queue_lock", Locking::exclusive);
    }

    private static String body(Stage stage, MessageQueue queue, String client) {
        return "{\"clientId\":\"" + client + "\",\"consumerGroup\":\"" + stage.group + "\",\"mqSet\":[{\"brokerName\":\""
            + queue.getBrokerName() + "\",\"queueId\":" + queue.getQueueId() + ",\"topic\":\"" + queue.getTopic()
            + "\"}]}";
    }

    private static boolean lock(Wire wire, Stage stage, MessageQueue queue, String client) throws Exception {
        RemotingCommand reply = wire.ask(wire.brokerOf(queue), LOCK_BATCH_MQ, Wire.fields(), body(stage, queue, client));
        Stage.same(0, reply.getCode(), "code of LOCK_BATCH_MQ, " + reply.getRemark());
        return Wire.text(reply).contains("\"queueId\":" + queue.getQueueId());
    }

    private static void exclusive(Stage stage) throws Exception {
        stage.create();
        Wire wire = new Wire(stage, stage.producer());
        MessageQueue queue = stage.producer().fetchPublishMessageQueues(stage.topic).get(0);
        Stage.check(lock(wire, stage, queue, "one"), "a free queue was not locked");
        Stage.check(lock(wire, stage, queue, "one"), "the owner could not renew");
        Stage.check(!lock(wire, stage, queue, "two"), "two owners");
        RemotingCommand stranger =
            wire.ask(wire.brokerOf(queue), UNLOCK_BATCH_MQ, Wire.fields(), body(stage, queue, "two"));
        Stage.same(0, stranger.getCode(), "code of UNLOCK_BATCH_MQ by another");
        Stage.check(!lock(wire, stage, queue, "two"), "another client unlocked the queue");
        RemotingCommand owner =
            wire.ask(wire.brokerOf(queue), UNLOCK_BATCH_MQ, Wire.fields(), body(stage, queue, "one"));
        Stage.same(0, owner.getCode(), "code of UNLOCK_BATCH_MQ");
        Stage.check(lock(wire, stage, queue, "two"), "a queue that was given back is not free");
    }

    private static void expires(Stage stage) throws Exception {
        stage.create();
        Wire wire = new Wire(stage, stage.producer());
        MessageQueue queue = stage.producer().fetchPublishMessageQueues(stage.topic).get(0);
        Stage.check(lock(wire, stage, queue, "one"), "a free queue was not locked");
        long began = System.nanoTime();
        double seconds = 0;
        while (!lock(wire, stage, queue, "two")) {
            Thread.sleep(1_000);
            seconds = (System.nanoTime() - began) / 1e9;
            Stage.check(seconds < 75, "the lock is still held");
        }
        stage.figures.put("seconds", seconds);
        Stage.check(seconds > 50, "the lock was lost after " + seconds + " s of its minute");
    }
}
