/* A non-blocking TCP connection with a buffer each way and the requests that wait on it by their opaque. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

/* One request in flight, or the place for one. */
struct slot {
    bool busy, large;
    int32_t opaque;
    int queue;      /* index into topics x queues */
    int64_t offset; /* where a pull asked from */
    uint64_t sent_at;
};

struct connection {
    int fd, in_flight;
    bool closed, wants_write;
    struct buffer in, out;
    struct slot *slots;
    uint32_t slot_count; /* a power of two, more than are ever in flight */
};

uint64_t nanoseconds_now(void);

/* Connects over TCP to a numeric IPv4 address and adds the socket to `epoll`, or ends the process. */
void connection_open(struct connection *connection, int epoll, const char *host, int port, int in_flight);
void connection_close(struct connection *connection);

/* A free slot with an opaque of its own, the next after `*opaque`. */
struct slot *connection_slot(struct connection *connection, int32_t *opaque);

/* The slot that waits for this opaque, or NULL. */
struct slot *connection_find(struct connection *connection, int32_t opaque);

/* Write what is buffered; read what has come. False once the connection is lost. */
bool connection_flush(struct connection *connection, int epoll);
bool connection_read(struct connection *connection);

#endif
