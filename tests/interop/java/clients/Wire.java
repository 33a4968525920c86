import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Single requests through the official client's own connection, and what moved between 4.9 and 5. */
final class Wire {
    private final RemotingClient client;
    private final MQClientInstance factory;
    private final String namesrv;

    Wire(Stage stage, DefaultMQProducer producer) throws Exception {
        Object impl = producer.getDefaultMQProducerImpl();
        Method getter;
        try {
            getter = impl.getClass().getMethod("getMqClientFactory");
        } catch (NoSuchMethodException old) {
            getter = impl.getClass().getMethod("getmQClientFactory");
        }
        factory = (MQClientInstance) getter.invoke(impl);
        client = factory.getMQClientAPIImpl().getRemotingClient();
        namesrv = stage.namesrv;
    }

    String brokerOf(MessageQueue queue) {
        return factory.findBrokerAddressInPublish(queue.getBrokerName());
    }

    RemotingCommand ask(String address, int code, Map<String, String> fields, String body) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        request.setExtFields(new HashMap<>(fields));
        if (body != null) {
            request.setBody(body.getBytes(StandardCharsets.UTF_8));
        }
        return client.invokeSync(address, request, 10_000);
    }

    RemotingCommand askNameServer(int code, Map<String, String> fields) throws Exception {
        return ask(namesrv, code, fields, null);
    }

    /** The client's open connection to an address; another object means that it had to connect again. */
    Object connection(String address) throws Exception {
        Field tables = client.getClass().getDeclaredField("channelTables");
        tables.setAccessible(true);
        Object wrapper = ((Map<?, ?>) tables.get(client)).get(address);
        Method getter = wrapper.getClass().getDeclaredMethod("getChannel");
        getter.setAccessible(true);
        return getter.invoke(wrapper);
    }

    static Map<String, String> fields(String... pairs) {
        Map<String, String> made = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            made.put(pairs[at], pairs[at + 1]);
        }
        return made;
    }

    static String text(RemotingCommand reply) {
        return reply.getBody() == null ? "" : new String(reply.getBody(), StandardCharsets.UTF_8);
    }

    /** MessageModel changed its package in version 5. */
    static void broadcasting(DefaultMQPushConsumer consumer) throws Exception {
        setEnum(consumer, "setMessageModel", "BROADCASTING");
    }

    /** Calls the one-argument setter with the named constant; NoSuchMethodException if there is none. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static void setEnum(Object object, String setter, String constant) throws Exception {
        for (Method method : object.getClass().getMethods()) {
            if (method.getName().equals(setter) && method.getParameterTypes()[0].isEnum()) {
                method.invoke(object, Enum.valueOf((Class<Enum>) method.getParameterTypes()[0], constant));
                return;
            }
        }
        throw new NoSuchMethodException(setter);
    }
}
