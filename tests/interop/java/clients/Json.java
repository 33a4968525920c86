import java.util.Map;

/** As much JSON as one line of a report needs. */
final class Json {
    private Json() {
    }

    static String write(Object value) {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            return String.valueOf(value);
        }
        StringBuilder text = new StringBuilder();
        String comma = "";
        if (value instanceof Map) {
            text.append('{');
            for (Map.Entry<?, ?> each : ((Map<?, ?>) value).entrySet()) {
                text.append(comma).append(write(String.valueOf(each.getKey()))).append(':').append(write(each.getValue()));
                comma = ",";
            }
            return text.append('}').toString();
        }
        if (value instanceof Iterable) {
            text.append('[');
            for (Object each : (Iterable<?>) value) {
                text.append(comma).append(write(each));
                comma = ",";
            }
            return text.append(']').toString();
        }
        text.append('"');
        for (char letter : value.toString().toCharArray()) {
            if (letter == '"' || letter == '\\') {
                text.append('\\').append(letter);
            } else if (letter < 0x20 || letter > 0x7e) {
                text.append(String.format("\\u%04x", (int) letter));
            } else {
                text.append(letter);
            }
        }
        return text.append('"').toString();
    }
}
