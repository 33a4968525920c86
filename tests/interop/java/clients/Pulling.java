import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullCallback;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that ask: lite pull with queues of its own choice or the group's, and the plain pull consumer. */
@SuppressWarnings("deprecation")
final class Pulling {
    private Pulling() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("lite_pull_assign", Pulling::assign);
        scenarios.put("lite_pull_subscribe", Pulling::subscribe);
        scenarios.put("pull_consumer", Pulling::pull);
        scenarios.put("pull_block_if_not_found", Pulling::pullBlocks);
    }

    private static Set<String> poll(Stage stage, DefaultLitePullConsumer consumer, int count) throws Exception {
        Set<String> bodies = new LinkedHashSet<>();
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (bodies.size() < count && System.nanoTime() < deadline) {
            for (MessageExt each : consumer.poll(500)) {
                if (!Received.text(each).equals(Stage.WARM_UP)) {
                    bodies.add(Received.text(each));
                }
            }
        }
        return bodies;
    }

    private static void assign(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = stage.sendMany("assigned", 60);
        DefaultLitePullConsumer consumer = stage.newLitePull();
        consumer.setAutoCommit(false);
        stage.start(consumer);
        Collection<MessageQueue> queues = consumer.fetchMessageQueues(stage.topic);
        Stage.same(4, queues.size(), "queues");
        consumer.assign(queues);
        for (MessageQueue each : queues) {
            consumer.seekToBegin(each);
        }
        Stage.same(sent, poll(stage, consumer, 60), "bodies");
        MessageQueue one = queues.iterator().next();
        consumer.seek(one, 3);
        consumer.commitSync();
        long lowest = Long.MAX_VALUE;
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (lowest == Long.MAX_VALUE && System.nanoTime() < deadline) {
            for (MessageExt each : consumer.poll(500)) {
                lowest = Math.min(lowest, each.getQueueOffset());
            }
        }
        Stage.same(3L, lowest, "first offset after seek");
    }

    private static void subscribe(Stage stage) throws Exception {
        stage.create();
        Set<String> first = stage.sendMany("subscribed", 40);
        DefaultLitePullConsumer one = stage.newLitePull();
        one.setAutoCommit(false);
        one.subscribe(stage.topic, "*");
        stage.start(one);
        Stage.same(first, poll(stage, one, 40), "bodies");
        one.commitSync();
        Thread.sleep(300);
        one.shutdown();
        Set<String> second = stage.sendMany("subscribed-again", 40);
        DefaultLitePullConsumer two = stage.newLitePull();
        two.subscribe(stage.topic, "*");
        stage.start(two);
        Stage.same(second, poll(stage, two, 40), "bodies after the restart");
    }

    private static void pull(Stage stage) throws Exception {
        stage.create();
        Set<String> sent = stage.sendMany("pulled", 100);
        DefaultMQPullConsumer consumer = stage.pullConsumer();
        Set<String> bodies = new HashSet<>();
        for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(stage.topic)) {
            long offset = consumer.minOffset(queue);
            long end = consumer.maxOffset(queue);
            while (offset < end) {
                PullResult result = consumer.pull(queue, "*", offset, 10);
                Stage.same(PullStatus.FOUND, result.getPullStatus(), "status at " + offset + " of " + queue);
                Stage.check(result.getMsgFoundList().size() <= 10, "more messages than asked for");
                Stage.same(end, result.getMaxOffset(), "max offset in the reply");
                for (MessageExt each : result.getMsgFoundList()) {
                    Stage.same(offset++, each.getQueueOffset(), "offset");
                    bodies.add(Received.text(each));
                }
                Stage.same(offset, result.getNextBeginOffset(), "next offset");
            }
            PullResult empty = consumer.pull(queue, "*", end, 10);
            Stage.same(PullStatus.NO_NEW_MSG, empty.getPullStatus(), "status at the end");
            PullResult beyond = consumer.pull(queue, "*", end + 1_000, 10);
            Stage.same(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus(), "status beyond the end");
            Stage.same(end, beyond.getNextBeginOffset(), "where to go on from beyond the end");
            PullResult filtered = consumer.pull(queue, "no-such-tag", 0, 10);
            Stage.same(PullStatus.NO_MATCHED_MSG, filtered.getPullStatus(), "status when nothing matches");
            consumer.updateConsumeOffset(queue, end);
            consumer.getOffsetStore().persist(queue);
        }
        bodies.remove(Stage.WARM_UP);
        Stage.same(new HashSet<>(sent), bodies, "bodies");
        consumer.shutdown();
        DefaultMQPullConsumer again = stage.pullConsumer();
        for (MessageQueue queue : again.fetchSubscribeMessageQueues(stage.topic)) {
            Stage.same(again.maxOffset(queue), again.fetchConsumeOffset(queue, true), "kept offset of " + queue);
        }
    }

    private static void pullBlocks(Stage stage) throws Exception {
        stage.create();
        DefaultMQPullConsumer consumer = stage.pullConsumer();
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(stage.topic).iterator().next();
        long end = consumer.maxOffset(queue);
        CountDownLatch done = new CountDownLatch(1);
        PullResult[] came = new PullResult[1];
        long[] at = new long[1];
        consumer.pullBlockIfNotFound(queue, "*", end, 10, new PullCallback() {
            @Override
            public void onSuccess(PullResult result) {
                came[0] = result;
                at[0] = System.nanoTime();
                done.countDown();
            }

            @Override
            public void onException(Throwable error) {
                error.printStackTrace();
                done.countDown();
            }
        });
        Thread.sleep(1_500);
        Stage.check(done.getCount() == 1, "the pull did not wait: " + came[0]);
        long began = System.nanoTime();
        stage.producer().send(stage.message("wakes"), (all, message, wanted) -> (MessageQueue) wanted, queue);
        Stage.check(done.await(10, TimeUnit.SECONDS) && came[0] != null, "no reply to the waiting pull");
        stage.figures.put("woken_ms", (at[0] - began) / 1e6);
        Stage.same(PullStatus.FOUND, came[0].getPullStatus(), "status");
        Stage.same("wakes", Received.text(came[0].getMsgFoundList().get(0)), "body");
    }
}
