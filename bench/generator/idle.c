/* Waiting long-polls. Stages: "connected", a line on stdin, "waiting", a line, then wakes, then the result:
   so that whoever runs this can look at the server's memory at each. */
#include "load.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, SEND_MARK = -1 };
static const double SETTLE_SECONDS = 1.5, WAKE_SECONDS = 5;

struct idle {
    struct load *load;
    int woken_place;     /* index of the queue that was just sent to, or -1 */
    int64_t awaited;     /* replies that this wake still lacks */
    uint64_t woken_at;
    bool go_on;          /* a line, or the end, of stdin */
};

static int place_count(const struct load *load)
{
    return load->options->topics * load->options->queues;
}

static void pull(struct load *load, struct connection *connection, int place, int64_t offset)
{
    struct slot *slot = connection_slot(connection, &load->opaque);
    slot->queue = place;
    slot->offset = offset;
    write_pull(&connection->out, &(struct pull_request){
        .topic = load->topics[place % load->options->topics], .broker_name = load->options->broker_name,
        .queue_id = place / load->options->topics, .batch = load->options->batch, .offset = offset,
        .suspend = true, .opaque = slot->opaque});
}

static void take_reply(struct idle *idle, struct connection *connection, const struct reply *reply)
{
    struct load *load = idle->load;
    struct slot *slot = connection_find(connection, reply->opaque);
    if (!slot) {
        load->result.unexpected++;
        return;
    }
    slot->busy = false;
    connection->in_flight--;
    if (slot->queue == SEND_MARK) {
        if (reply->code != REPLY_SUCCESS)
            count_error(&load->result, reply->code);
        return;
    }
    int64_t next = slot->offset;
    load->result.requests++;
    if (reply->code == REPLY_SUCCESS) {
        next = reply->next_begin_offset;
        load->result.messages++;
        if (slot->queue == idle->woken_place) {
            histogram_record(&load->result.wake, nanoseconds_now() - idle->woken_at);
            idle->awaited--;
        }
    } else if (reply->code == REPLY_PULL_OFFSET_MOVED)
        next = reply->next_begin_offset;
    else if (reply->code == REPLY_SYSTEM_BUSY || reply->code == REPLY_FLOW_CONTROL) {
        load->result.busy++;
        return; /* asking again at once would only spin */
    } else if (reply->code != REPLY_PULL_NOT_FOUND && reply->code != REPLY_PULL_RETRY_IMMEDIATELY) {
        count_error(&load->result, reply->code);
        return;
    }
    pull(load, connection, slot->queue, next);
}

static void serve(struct idle *idle, struct connection *connection)
{
    bool alive = connection_read(connection);
    struct reply reply;
    size_t size = 0;
    enum parsed parsed;
    while ((parsed = parse_reply(&connection->in, &reply, &size)) == PARSED_REPLY) {
        take_reply(idle, connection, &reply);
        buffer_take(&connection->in, size);
    }
    idle->load->result.garbage += parsed == PARSED_GARBAGE;
    if (!alive || parsed == PARSED_GARBAGE || !connection_flush(connection, idle->load->epoll)) {
        idle->load->result.lost_connections++;
        connection_close(connection);
    }
}

static void turn_until(struct idle *idle, double seconds, bool until_line, bool until_woken)
{
    struct epoll_event events[EVENTS];
    uint64_t moment = nanoseconds_now() + (uint64_t)(seconds * 1e9);
    char line[64];
    while (nanoseconds_now() < moment && !(until_line && idle->go_on) && !(until_woken && idle->awaited <= 0)) {
        int count = epoll_wait(idle->load->epoll, events, EVENTS, 20);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!connection)
                idle->go_on = read(STDIN_FILENO, line, sizeof line) >= 0;
            else if (!connection->closed)
                serve(idle, connection);
        }
    }
    if (until_line)
        idle->go_on = false;
}

static void wake(struct idle *idle, int place)
{
    struct load *load = idle->load;
    struct connection *first = &load->connections[0];
    idle->woken_place = place;
    idle->awaited = 0;
    for (int i = 0; i < load->options->connections; i++)
        for (uint32_t j = 0; j < load->connections[i].slot_count; j++)
            idle->awaited += load->connections[i].slots[j].busy && load->connections[i].slots[j].queue == place;
    idle->woken_at = nanoseconds_now();
    struct slot *slot = connection_slot(first, &load->opaque);
    slot->queue = SEND_MARK;
    write_send(&first->out, &(struct send_request){
        .topic = load->topics[place % load->options->topics], .broker_name = load->options->broker_name,
        .queue_id = place / load->options->topics, .opaque = slot->opaque, .body = load->body,
        .body_size = (size_t)load->options->body_size});
    connection_flush(first, load->epoll);
    turn_until(idle, WAKE_SECONDS, false, true);
    if (idle->awaited > 0)
        load->result.unanswered += idle->awaited;
    idle->woken_place = -1;
}

void idle_run(struct load *load)
{
    struct idle idle = {.load = load, .woken_place = -1};
    const struct options *options = load->options;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        idle.go_on = true; /* a file cannot be waited for: nobody is there to send lines */
    double patience = options->seconds > 0 ? options->seconds : 60;
    /* One answered request each: a server makes what a connection needs when it has heard something. */
    for (int i = 0; i < options->connections; i++) {
        struct slot *slot = connection_slot(&load->connections[i], &load->opaque);
        slot->queue = SEND_MARK;
        write_route(&load->connections[i].out, load->topics[0], slot->opaque);
        connection_flush(&load->connections[i], load->epoll);
    }
    turn_until(&idle, SETTLE_SECONDS, false, false);
    announce("connected");
    turn_until(&idle, patience, true, false);
    uint64_t start = nanoseconds_now();
    for (int i = 0; i < options->connections; i++) {
        for (int j = 0; j < options->in_flight; j++)
            pull(load, &load->connections[i], (i * options->in_flight + j) % place_count(load), 0);
        connection_flush(&load->connections[i], load->epoll);
    }
    turn_until(&idle, SETTLE_SECONDS, false, false);
    announce("waiting");
    turn_until(&idle, patience, true, false);
    for (int round = 0; round < options->wakes; round++)
        for (int place = 0; place < place_count(load); place++)
            wake(&idle, place);
    load->result.seconds = (double)(nanoseconds_now() - start) / 1e9;
}
