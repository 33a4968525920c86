import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.rocketmq.auth.authentication.model.User;
import org.apache.rocketmq.auth.authorization.chain.AclAuthorizationHandler;
import org.apache.rocketmq.auth.authorization.context.DefaultAuthorizationContext;
import org.apache.rocketmq.auth.authorization.enums.Decision;
import org.apache.rocketmq.auth.authorization.enums.PolicyType;
import org.apache.rocketmq.auth.authorization.model.Acl;
import org.apache.rocketmq.auth.authorization.model.Environment;
import org.apache.rocketmq.auth.authorization.model.Policy;
import org.apache.rocketmq.auth.authorization.model.PolicyEntry;
import org.apache.rocketmq.auth.authorization.model.Resource;
import org.apache.rocketmq.auth.config.AuthConfig;
import org.apache.rocketmq.common.action.Action;

/**
 * What RocketMQ's own handler decides. Reads lines "CUSTOM DEFAULT RESOURCE ACTIONS SOURCE", separated by tabs; policies are
 * entries separated by spaces, an entry is "RESOURCE;ACTIONS;SOURCES;DECISION"; prints Allow, Deny or None for each.
 */
public final class Decide {
    private Decide() {
    }

    public static void main(String[] args) throws Exception {
        AclAuthorizationHandler handler = new AclAuthorizationHandler(new AuthConfig());
        Method match = AclAuthorizationHandler.class.getDeclaredMethod("matchPolicyEntries",
            DefaultAuthorizationContext.class, Acl.class);
        match.setAccessible(true);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t", -1);
            User user = User.of("user");
            List<Policy> policies = new ArrayList<>();
            policies.add(Policy.of(PolicyType.DEFAULT, entries(words[1])));
            policies.add(Policy.of(PolicyType.CUSTOM, entries(words[0])));
            List<Action> actions = new ArrayList<>();
            for (String each : words[3].split(",")) {
                actions.add(Action.getByName(each));
            }
            DefaultAuthorizationContext asked = DefaultAuthorizationContext.of(user, Resource.of(words[2]), actions, words[4]);
            PolicyEntry found = (PolicyEntry) match.invoke(handler, asked, Acl.of(user, policies));
            System.out.println(found == null ? "None" : found.getDecision().getName());
        }
    }

    private static List<PolicyEntry> entries(String text) {
        List<PolicyEntry> found = new ArrayList<>();
        for (String each : text.isEmpty() ? new String[0] : text.split(" ")) {
            String[] parts = each.split(";", -1);
            List<Action> actions = new ArrayList<>();
            for (String action : parts[1].split(",")) {
                actions.add(Action.getByName(action));
            }
            Environment environment = parts[2].isEmpty() ? null : Environment.of(Arrays.asList(parts[2].split(",")));
            found.add(PolicyEntry.of(Resource.of(parts[0]), actions, environment, Decision.getByName(parts[3])));
        }
        return found;
    }
}
