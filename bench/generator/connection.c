#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, READS_PER_TURN = 16 };

uint64_t nanoseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void connection_open(struct connection *connection, int epoll, const char *host, int port, int in_flight)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "--host wants a numeric IPv4 address, not %s\n", host);
        exit(2);
    }
    memset(connection, 0, sizeof *connection);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    int yes = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl");
    connection->slot_count = 4;
    while (connection->slot_count < 4u * (uint32_t)in_flight)
        connection->slot_count *= 2;
    connection->slots = calloc(connection->slot_count, sizeof *connection->slots);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (!connection->slots || epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("epoll_ctl");
}

void connection_close(struct connection *connection)
{
    if (!connection->closed)
        close(connection->fd);
    connection->closed = true;
}

struct slot *connection_slot(struct connection *connection, int32_t *opaque)
{
    struct slot *slot;
    do {
        *opaque = (*opaque + 1) & 0x7fffffff;
        slot = &connection->slots[(uint32_t)*opaque & (connection->slot_count - 1)];
    } while (slot->busy); /* ends: there are four times as many slots as requests in flight */
    slot->busy = true;
    slot->large = false;
    slot->opaque = *opaque;
    connection->in_flight++;
    return slot;
}

struct slot *connection_find(struct connection *connection, int32_t opaque)
{
    struct slot *slot = &connection->slots[(uint32_t)opaque & (connection->slot_count - 1)];
    return slot->busy && slot->opaque == opaque ? slot : NULL;
}

static void want_write(struct connection *connection, int epoll, bool wanted)
{
    if (connection->wants_write == wanted)
        return;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
    connection->wants_write = wanted;
}

bool connection_flush(struct connection *connection, int epoll)
{
    struct buffer *out = &connection->out;
    while (out->start < out->length) {
        ssize_t count = send(connection->fd, out->data + out->start, out->length - out->start, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            break;
        if (count < 0)
            return false;
        buffer_take(out, (size_t)count);
    }
    want_write(connection, epoll, out->start < out->length);
    return true;
}

bool connection_read(struct connection *connection)
{
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        char *place = buffer_reserve(&connection->in, READ_SIZE);
        ssize_t count = recv(connection->fd, place, READ_SIZE, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return errno == EAGAIN;
        if (count == 0)
            return false;
        connection->in.length += (size_t)count;
        if (count < READ_SIZE)
            break;
    }
    return true;
}
