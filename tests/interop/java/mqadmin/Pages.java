import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.stats.Stats;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.body.BrokerStatsData;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.body.Connection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.KVTable;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.stats.StatsAllSubCommand;

/** What the pages of a dashboard ask, each by the calls of the administration library; every page prints lines "name value". */
final class Pages {
    /** Of a broker, what a dashboard's page of clusters and its charts read. */
    private static final List<String> READ = Arrays.asList("brokerVersionDesc", "putTps", "getTransferredTps", "getTotalTps",
        "msgPutTotalTodayMorning", "msgPutTotalTodayNow", "msgGetTotalTodayMorning", "msgGetTotalTodayNow",
        "msgPutTotalYesterdayMorning", "msgGetTotalYesterdayMorning", "runtime");

    private final String namesrv;
    private final DefaultMQAdminExt admin;

    private Pages(String namesrv, DefaultMQAdminExt admin) {
        this.namesrv = namesrv;
        this.admin = admin;
    }

    static void show(String namesrv, DefaultMQAdminExt admin, String[] words) throws Exception {
        admin.setNamesrvAddr(namesrv);
        admin.setInstanceName("pages" + System.nanoTime());
        admin.start();
        try {
            new Pages(namesrv, admin).page(words);
        } finally {
            admin.shutdown();
        }
    }

    private void page(String[] words) throws Exception {
        switch (words[1]) {
            case "clusters":
                clusters();
                break;
            case "topics":
                topics();
                break;
            case "topic":
                topic(words[2]);
                break;
            case "charts":
                charts(words[2], words[3]);
                break;
            case "groups":
                groups(words[2]);
                break;
            case "group":
                group(words[2]);
                break;
            case "messages":
                messages(words[2], Long.parseLong(words[3]), Long.parseLong(words[4]));
                break;
            case "message":
                message(words[2], words[3], words[4], words[5]);
                break;
            case "dead_letters":
                deadLetters(words[2]);
                break;
            default:
                throw new IllegalArgumentException(words[1]);
        }
    }

    private static void line(String name, Object value) {
        System.out.println(name + " " + value);
    }

    private Map<String, BrokerData> brokers() throws Exception {
        return admin.examineBrokerClusterInfo().getBrokerAddrTable();
    }

    private void clusters() throws Exception {
        ClusterInfo clusters = admin.examineBrokerClusterInfo();
        line("clusters", clusters.getClusterAddrTable());
        for (BrokerData broker : clusters.getBrokerAddrTable().values()) {
            for (Map.Entry<Long, String> each : broker.getBrokerAddrs().entrySet()) {
                line("broker", broker.getBrokerName() + " " + each.getKey() + " " + each.getValue());
                KVTable told = admin.fetchBrokerRuntimeStats(each.getValue());
                READ.forEach(name -> line(name, told.getTable().get(name)));
                Properties configuration = admin.getBrokerConfig(each.getValue());
                line("configured", configuration.getProperty("brokerName"));
            }
        }
        line("namesrv", admin.getNameServerAddressList());
    }

    private void topics() throws Exception {
        Set<String> all = admin.fetchAllTopicList().getTopicList();
        DefaultMQProducer producer = new DefaultMQProducer(MixAll.SELF_TEST_PRODUCER_GROUP);
        producer.setNamesrvAddr(namesrv);
        producer.setInstanceName("system" + System.nanoTime());
        producer.start();
        try {
            Set<String> system = producer.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl()
                .getSystemTopicList(20_000L).getTopicList();
            new TreeSet<>(all).forEach(name -> line(system.contains(name) ? "system" : "topic", name));
        } finally {
            producer.shutdown();
        }
        for (BrokerData broker : brokers().values()) {
            admin.getAllTopicConfig(broker.selectBrokerAddr(), 10_000L).getTopicConfigTable().values()
                .forEach(each -> line("type", each.getTopicName() + " " + each.getTopicMessageType()));
        }
    }

    private void topic(String topic) throws Exception {
        admin.examineTopicRouteInfo(topic).getQueueDatas()
            .forEach(each -> line("route", each.getBrokerName() + " " + each.getReadQueueNums()));
        line("messages", admin.examineTopicStats(topic).getOffsetTable().values().stream()
            .mapToLong(each -> each.getMaxOffset() - each.getMinOffset()).sum());
        line("groups", new TreeSet<>(admin.queryTopicConsumeByWho(topic).getGroupList()));
        for (BrokerData broker : brokers().values()) {
            line("queues", admin.examineTopicConfig(broker.selectBrokerAddr(), topic).getReadQueueNums());
        }
        line("of", admin.getTopicClusterList(topic));
    }

    private void charts(String topic, String group) throws Exception {
        for (BrokerData broker : brokers().values()) {
            String address = broker.getBrokerAddrs().get(MixAll.MASTER_ID);
            for (String[] each : new String[][] {{Stats.TOPIC_PUT_NUMS, topic}, {Stats.GROUP_GET_NUMS, topic + "@" + group}}) {
                BrokerStatsData data = admin.viewBrokerStatsData(address, each[0], each[1]);
                line(each[0], StatsAllSubCommand.compute24HourSum(data) + " " + (data.getStatsMinute().getTps() >= 0));
            }
        }
    }

    private void groups(String group) throws Exception {
        for (BrokerData broker : brokers().values()) {
            Map<String, SubscriptionGroupConfig> table =
                admin.getAllSubscriptionGroup(broker.selectBrokerAddr(), 30_000L).getSubscriptionGroupTable();
            line("listed", table.containsKey(group) + " " + table.containsKey(MixAll.TOOLS_CONSUMER_GROUP));
            line("orderly", table.get(group).isConsumeMessageOrderly());
        }
    }

    private void group(String group) throws Exception {
        ConsumeStats everywhere = admin.examineConsumeStats(group);
        line("lag", everywhere.computeTotalDiff());
        ConsumerConnection connected = admin.examineConsumerConnectionInfo(group);
        line("connected", connected.getConnectionSet().size() + " " + connected.getConsumeType() + " "
            + connected.getMessageModel() + " " + (connected.computeMinVersion() > 0));
        for (BrokerData broker : brokers().values()) {
            ConsumeStats here = admin.examineConsumeStats(broker.selectBrokerAddr(), group, null, 3_000);
            line("queues", here.getOffsetTable().size());
        }
        for (Connection connection : connected.getConnectionSet()) {
            ConsumerRunningInfo running = admin.getConsumerRunningInfo(group, connection.getClientId(), false);
            line("assigned", connection.getClientId() + " " + running.getMqTable().size());
        }
    }

    /** Of a topic between two times: as far as a page that pulls each queue by itself finds them. */
    private void messages(String topic, long begin, long end) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(MixAll.TOOLS_CONSUMER_GROUP);
        consumer.setNamesrvAddr(namesrv);
        consumer.setInstanceName("page" + System.nanoTime());
        consumer.start();
        try {
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
                long offset = consumer.searchOffset(queue, begin);
                long last = consumer.searchOffset(queue, end);
                boolean found = true;
                while (found && offset <= last) {
                    PullResult result = consumer.pull(queue, "*", offset, 32);
                    found = result.getPullStatus() == PullStatus.FOUND;
                    offset = result.getNextBeginOffset();
                    if (found) {
                        for (MessageExt each : result.getMsgFoundList()) {
                            if (each.getStoreTimestamp() >= begin && each.getStoreTimestamp() <= end) {
                                line("message", each.getMsgId());
                            }
                        }
                    }
                }
            }
        } finally {
            consumer.shutdown();
        }
    }

    private void message(String topic, String id, String key, String group) throws Exception {
        MessageExt message = admin.viewMessage(topic, id);
        line("body", new String(message.getBody(), java.nio.charset.StandardCharsets.UTF_8));
        admin.messageTrackDetail(message)
            .forEach(each -> line("track", each.getConsumerGroup() + " " + each.getTrackType()));
        admin.queryMessage(topic, key, 64, 0, System.currentTimeMillis()).getMessageList()
            .forEach(each -> line("by_key", each.getMsgId()));
        for (Connection connection : admin.examineConsumerConnectionInfo(group).getConnectionSet()) {
            line("consumed", admin.consumeMessageDirectly(group, connection.getClientId(), topic, id).getConsumeResult());
        }
    }

    private void deadLetters(String group) throws Exception {
        String topic = MixAll.DLQ_GROUP_TOPIC_PREFIX + group;
        try {
            line("route", admin.examineTopicRouteInfo(topic).getQueueDatas().size());
            messages(topic, 0, System.currentTimeMillis());
        } catch (MQClientException error) {
            line("none", error.getResponseCode());
        }
    }
}
