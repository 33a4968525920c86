import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientConfigurationBuilder;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.StaticSessionCredentialsProvider;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/**
 * The official gRPC client with a credential. Reads lines "ACTION USER SECRET TOPIC GROUP BODY", words separated by tabs, and
 * answers each with one line: "OK ..." or what the client says of the error.
 */
public final class SigningGrpc {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();

    private SigningGrpc() {
    }

    public static void main(String[] args) throws Exception {
        PrintStream real = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = "OK " + perform(args[0], line.split("\t", -1));
            } catch (Throwable error) {
                StringBuilder text = new StringBuilder("ERROR");
                for (Throwable each = error; each != null; each = each.getCause()) {
                    text.append(' ').append(each);
                }
                answer = text.toString();
            }
            real.println(answer.replace('\n', ' '));
        }
        Runtime.getRuntime().halt(0);
    }

    private static String perform(String endpoints, String[] words) throws Exception {
        ClientConfigurationBuilder building = ClientConfiguration.newBuilder().setEndpoints(endpoints).enableSsl(false)
            .setRequestTimeout(Duration.ofSeconds(5));
        if (!words[1].isEmpty()) {
            building.setCredentialProvider(new StaticSessionCredentialsProvider(words[1], words[2]));
        }
        ClientConfiguration configuration = building.build();
        switch (words[0]) {
            case "send":
                try (Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration)
                    .setMaxAttempts(1).build()) {
                    return producer.send(PROVIDER.newMessageBuilder().setTopic(words[3])
                        .setBody(words[5].getBytes(StandardCharsets.UTF_8)).build()).getMessageId().toString();
                }
            case "consume":
                return consume(configuration, words[3], words[4]);
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private static String consume(ClientConfiguration configuration, String topic, String group)
        throws ClientException, java.io.IOException {
        try (SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(configuration)
            .setConsumerGroup(group).setAwaitDuration(Duration.ofSeconds(5))
            .setSubscriptionExpressions(Collections.singletonMap(topic, FilterExpression.SUB_ALL)).build()) {
            List<MessageView> found = consumer.receive(1, Duration.ofSeconds(20));
            for (int attempt = 0; found.isEmpty() && attempt < 3; attempt++) {
                found = consumer.receive(1, Duration.ofSeconds(20));
            }
            if (found.isEmpty()) {
                return "nothing";
            }
            consumer.ack(found.get(0));
            return StandardCharsets.UTF_8.decode(found.get(0).getBody()).toString();
        }
    }
}
