/* The raw load generator of the benchmarks: one thread, one epoll, Remoting over TCP, a JSON object at the
   end. What every option means is said by --help. */
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char HELP[] =
    "generator MODE --port PORT [options]\n"
    "  MODE               send (310), pull (11), route (105), create (17, each topic once), idle (waiting pulls)\n"
    "  --host ADDRESS     numeric IPv4 address [127.0.0.1]\n"
    "  --broker-name NAME sent in n and bname [broker-a]\n"
    "  --connections N    [1]\n"
    "  --in-flight N      requests in flight on each connection [1]\n"
    "  --topic PREFIX     topics are PREFIX00001 and so on [bench_]\n"
    "  --topics N         used in turn [1]\n"
    "  --queues N         queues of each topic [8]\n"
    "  --body-size BYTES  [1024]\n"
    "  --mix-4mb N        one body in N has 4 MB [0: none]\n"
    "  --batch N          messages asked for by one pull [32]\n"
    "  --warm-up SECONDS  not counted [0]\n"
    "  --seconds SECONDS  measured; 0: until --count, or every queue was read once [0]\n"
    "  --count N          requests measured [0: no end but the time]\n"
    "  --limit SECONDS    the end of a run to a count, whatever happens [120]\n"
    "  --access-key NAME  sends are signed with it, as AclClientRPCHook does\n"
    "  --secret-key TEXT  at most 64 bytes\n"
    "  --wakes N          idle: rounds of one message to every queue at the end [0]\n";

static void show_latency(const char *name, const struct histogram *h)
{
    if (h->total)
        printf(",\"%s\":{\"count\":%llu,\"mean\":%.4f,\"p50\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f}",
            name, (unsigned long long)h->total, h->sum / (double)h->total / 1e6,
            (double)histogram_quantile(h, 0.5) / 1e6, (double)histogram_quantile(h, 0.99) / 1e6,
            (double)histogram_quantile(h, 0.999) / 1e6, (double)h->largest / 1e6);
}

static double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void show(const struct load *load)
{
    const struct result *r = &load->result;
    printf("{\"mode\":\"%s\",\"connections\":%d,\"in_flight\":%d,\"messages\":%lld,\"requests\":%lld,"
        "\"seconds\":%.6f,\"messages_per_second\":%.1f,\"bytes\":%lld,\"busy\":%lld,\"unexpected\":%lld,"
        "\"garbage\":%lld,\"unanswered\":%lld,\"lost_connections\":%lld,\"generator_cpu_seconds\":%.3f",
        load->options->mode, load->options->connections, load->options->in_flight, (long long)r->messages,
        (long long)r->requests, r->seconds, r->seconds > 0 ? (double)r->messages / r->seconds : 0.0,
        (long long)r->bytes, (long long)r->busy, (long long)r->unexpected, (long long)r->garbage,
        (long long)r->unanswered, (long long)r->lost_connections, own_cpu_seconds());
    show_latency("latency_ms", &r->latency);
    show_latency("large_latency_ms", &r->large_latency);
    show_latency("wake_ms", &r->wake);
    printf(",\"errors\":{");
    for (int i = 0; i < ERROR_CODES && r->errors[i].count; i++)
        printf("%s\"%d\":%lld", i ? "," : "", r->errors[i].code, (long long)r->errors[i].count);
    printf("}}\n");
}

static double at_least(const char *text, double least, const char *name)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < least) {
        fprintf(stderr, "--%s wants a number from %g up, not %s\n", name, least, text);
        exit(2);
    }
    return value;
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option NAMES[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"broker-name", 1, 0, 'n'}, {"connections", 1, 0, 'c'},
        {"in-flight", 1, 0, 'f'}, {"topic", 1, 0, 't'}, {"topics", 1, 0, 'T'}, {"queues", 1, 0, 'q'},
        {"body-size", 1, 0, 'b'}, {"mix-4mb", 1, 0, 'm'}, {"batch", 1, 0, 'B'}, {"warm-up", 1, 0, 'w'},
        {"seconds", 1, 0, 's'}, {"count", 1, 0, 'C'}, {"wakes", 1, 0, 'W'}, {"limit", 1, 0, 'L'},
        {"access-key", 1, 0, 'A'}, {"secret-key", 1, 0, 'S'}, {"help", 0, 0, 'H'}, {0}};
    int which, index = 0;
    while ((which = getopt_long(argc, argv, "", NAMES, &index)) != -1) {
        const char *name = NAMES[index].name;
        switch (which) {
        case 'h': o->host = optarg; break;
        case 'p': o->port = (int)at_least(optarg, 1, name); break;
        case 'n': o->broker_name = optarg; break;
        case 'c': o->connections = (int)at_least(optarg, 1, name); break;
        case 'f': o->in_flight = (int)at_least(optarg, 1, name); break;
        case 't': o->topic = optarg; break;
        case 'T': o->topics = (int)at_least(optarg, 1, name); break;
        case 'q': o->queues = (int)at_least(optarg, 1, name); break;
        case 'b': o->body_size = (int64_t)at_least(optarg, 1, name); break;
        case 'm': o->mix_4mb = (int64_t)at_least(optarg, 0, name); break;
        case 'B': o->batch = (int)at_least(optarg, 1, name); break;
        case 'w': o->warm_up = at_least(optarg, 0, name); break;
        case 's': o->seconds = at_least(optarg, 0, name); break;
        case 'C': o->count = (int64_t)at_least(optarg, 0, name); break;
        case 'L': o->limit = at_least(optarg, 1, name); break;
        case 'W': o->wakes = (int)at_least(optarg, 0, name); break;
        case 'A': o->access_key = optarg; break;
        case 'S': o->secret_key = optarg; break;
        case 'H': fputs(HELP, stdout); exit(0);
        default: fputs(HELP, stderr); exit(2);
        }
    }
    if (optind + 1 != argc || !o->port) {
        fputs(HELP, stderr);
        exit(2);
    }
    if (!o->access_key != !o->secret_key || (o->secret_key && strlen(o->secret_key) > 64)) {
        fprintf(stderr, "--access-key and --secret-key (at most 64 bytes) go together\n");
        exit(2);
    }
    o->mode = argv[optind];
}

int main(int argc, char **argv)
{
    static struct load load; /* static: the histograms are too large for a stack */
    struct options options = {.host = "127.0.0.1", .broker_name = "broker-a", .topic = "bench_", .connections = 1,
        .in_flight = 1, .topics = 1, .queues = 8, .body_size = 1024, .batch = 32, .limit = 120};
    read_options(&options, argc, argv);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    bool idle = strcmp(options.mode, "idle") == 0;
    for (const struct mode *mode = MODES; mode->name; mode++)
        if (strcmp(mode->name, options.mode) == 0)
            load.mode = mode;
    if (!load.mode && !idle) {
        fputs(HELP, stderr);
        return 2;
    }
    if (strcmp(options.mode, "create") == 0)
        options.count = options.topics;
    else if (options.seconds == 0 && options.count == 0 && !idle && strcmp(options.mode, "pull") != 0) {
        fprintf(stderr, "say --seconds or --count\n");
        return 2;
    }
    load_prepare(&load, &options);
    if (idle)
        idle_run(&load);
    else
        load_run(&load);
    show(&load);
    return 0;
}
