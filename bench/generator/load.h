/* The closed loop: every connection keeps its number of requests in flight until the time or the count is
   over; a warm-up before is neither counted nor timed. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "connection.h"
#include "histogram.h"

enum { ERROR_CODES = 16, NAME_LIMIT = 256 };

struct options {
    const char *mode, *host, *broker_name, *topic;
    int port, connections, in_flight;
    int topics, queues;        /* topics PREFIX0001.. in turn, each with so many queues */
    int64_t body_size, mix_4mb; /* one body of 4 MB in every mix_4mb; 0 is none */
    int batch;
    double warm_up, seconds;   /* seconds 0: until the count */
    double limit;              /* seconds after which a run without an end of its own ends */
    int64_t count;
    int wakes;
    const char *access_key, *secret_key; /* sends are signed */
};

struct result {
    int64_t requests, messages, bytes, busy, refused, unexpected, garbage, unanswered, lost_connections;
    double seconds;
    struct histogram latency, large_latency, wake;
    struct { int code; int64_t count; } errors[ERROR_CODES];
};

struct queue_place {
    int64_t next;
    bool finished, taken;
};

enum phase { WARMING, MEASURING, DRAINING };

struct load {
    const struct options *options;
    struct result result;
    const struct mode *mode;
    int epoll, open;
    enum phase phase;
    int32_t opaque;
    int64_t issued; /* requests of the measured part, for a fixed count */
    int64_t sent;   /* every request, which picks topic, queue and size */
    struct connection *connections;
    struct queue_place *places;
    int place;
    char (*topics)[NAME_LIMIT];
    char *body;
};

/* What one kind of request is: how to write the next one, false when nothing is left to ask; and what a
   reply says: the messages in it, or -1 when it is an error. */
struct mode {
    const char *name;
    bool (*request)(struct load *load, struct slot *slot, struct buffer *out);
    int64_t (*reply)(struct load *load, const struct slot *slot, const struct reply *reply);
};

extern const struct mode MODES[];

void load_prepare(struct load *load, const struct options *options);
void load_run(struct load *load);
void count_error(struct result *result, int code);

/* N connections that each hold waiting pulls; stages are told on stdout and ended by a line on stdin. */
void idle_run(struct load *load);

void announce(const char *state);

#endif
