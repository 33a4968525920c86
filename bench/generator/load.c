#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum { EVENTS = 256, LARGE_BODY = 4 * 1024 * 1024, REFUSED_LIMIT = 10000 };
static const double DRAIN_SECONDS = 10;

void announce(const char *state)
{
    printf("{\"state\":\"%s\"}\n", state);
    fflush(stdout);
}

void count_error(struct result *result, int code)
{
    int i = 0;
    while (i < ERROR_CODES - 1 && result->errors[i].count && result->errors[i].code != code)
        i++;
    result->errors[i].code = code;
    result->errors[i].count++;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

void load_prepare(struct load *load, const struct options *options)
{
    load->options = options;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->topics = allocate((size_t)options->topics, NAME_LIMIT);
    for (int i = 0; i < options->topics; i++)
        snprintf(load->topics[i], NAME_LIMIT, "%s%05d", options->topic, i + 1);
    load->places = allocate((size_t)options->topics * (size_t)options->queues, sizeof *load->places);
    size_t body_size = options->mix_4mb ? LARGE_BODY : (size_t)options->body_size;
    load->body = allocate(1, body_size + 1);
    for (size_t i = 0; i < body_size; i++)
        load->body[i] = "rmqgateway bench "[i % 17];
    load->connections = allocate((size_t)options->connections, sizeof *load->connections);
    for (int i = 0; i < options->connections; i++)
        connection_open(&load->connections[i], load->epoll, options->host, options->port, options->in_flight);
    load->open = options->connections;
}

static void lose(struct load *load, struct connection *connection)
{
    if (connection->closed)
        return;
    load->result.lost_connections++;
    load->result.unanswered += connection->in_flight;
    load->open--;
    connection->in_flight = 0;
    connection_close(connection);
}

/* As many requests as may be in flight, then one write. */
static void fill(struct load *load, struct connection *connection, uint64_t now)
{
    const struct options *options = load->options;
    while (load->phase != DRAINING && connection->in_flight < options->in_flight) {
        if (load->phase == MEASURING && options->count && load->issued >= options->count)
            break;
        struct slot *slot = connection_slot(connection, &load->opaque);
        if (!load->mode->request(load, slot, &connection->out)) {
            slot->busy = false;
            connection->in_flight--;
            break;
        }
        slot->sent_at = now;
        load->sent++;
        load->issued += load->phase == MEASURING;
    }
    if (!connection_flush(connection, load->epoll))
        lose(load, connection);
}

static void take_reply(struct load *load, struct connection *connection, const struct reply *reply, uint64_t now)
{
    struct result *result = &load->result;
    struct slot *slot = connection_find(connection, reply->opaque);
    if (!slot) {
        result->unexpected++;
        return;
    }
    slot->busy = false;
    connection->in_flight--;
    int64_t messages = load->mode->reply(load, slot, reply);
    load->result.refused += messages < 0;
    if (load->phase == WARMING || (load->phase == DRAINING && !load->options->count))
        return;
    if (messages >= 0) {
        result->requests++;
        result->messages += messages;
        histogram_record(slot->large ? &result->large_latency : &result->latency, now - slot->sent_at);
    } else if (reply->code == REPLY_SYSTEM_BUSY || reply->code == REPLY_FLOW_CONTROL)
        result->busy++;
    else
        count_error(result, reply->code);
}

static void serve(struct load *load, struct connection *connection, uint32_t events)
{
    bool alive = !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || connection_read(connection);
    uint64_t now = nanoseconds_now();
    struct reply reply;
    size_t size = 0;
    enum parsed parsed;
    while ((parsed = parse_reply(&connection->in, &reply, &size)) == PARSED_REPLY) {
        take_reply(load, connection, &reply, now);
        if (load->phase == MEASURING)
            load->result.bytes += (int64_t)size;
        buffer_take(&connection->in, size);
    }
    load->result.garbage += parsed == PARSED_GARBAGE;
    if (!alive || parsed == PARSED_GARBAGE)
        lose(load, connection);
    else
        fill(load, connection, now);
}

static int64_t waiting(const struct load *load)
{
    int64_t count = 0;
    for (int i = 0; i < load->options->connections; i++)
        count += load->connections[i].in_flight;
    return count;
}

/* Serves until the moment comes or, where nothing more is to be asked, everything was answered. */
static void turn_until(struct load *load, uint64_t moment, bool until_answered)
{
    struct epoll_event events[EVENTS];
    uint64_t now;
    while (load->open && (now = nanoseconds_now()) < moment) {
        if (load->result.refused > REFUSED_LIMIT + load->sent / 2)
            return; /* a server that only refuses is not worth more of anybody's processor */
        if (until_answered && waiting(load) == 0)
            return;
        uint64_t left = (moment - now) / 1000000 + 1;
        int count = epoll_wait(load->epoll, events, EVENTS, left < 100 ? (int)left : 100);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection->closed)
                serve(load, connection, events[i].events);
        }
    }
}

static uint64_t after(double seconds)
{
    return nanoseconds_now() + (uint64_t)(seconds * 1e9);
}

static void fill_all(struct load *load)
{
    for (int i = 0; i < load->options->connections; i++)
        if (!load->connections[i].closed)
            fill(load, &load->connections[i], nanoseconds_now());
}

void load_run(struct load *load)
{
    const struct options *options = load->options;
    if (options->warm_up > 0) {
        fill_all(load);
        turn_until(load, after(options->warm_up), false);
    }
    load->phase = MEASURING;
    announce("measuring");
    uint64_t start = nanoseconds_now();
    fill_all(load);
    if (options->seconds > 0)
        turn_until(load, after(options->seconds), options->count > 0);
    else
        turn_until(load, after(options->limit), true);
    load->result.seconds = (double)(nanoseconds_now() - start) / 1e9;
    announce("measured");
    load->phase = DRAINING;
    turn_until(load, after(DRAIN_SECONDS), true);
    load->result.unanswered += waiting(load);
}
