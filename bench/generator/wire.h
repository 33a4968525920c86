/* Remoting frames: requests as a Java client 5.5.0 writes them, replies as far as a load generator looks.

   A frame is int32 length of what follows, int32 serialization (top byte, 0 is JSON) and header length,
   header, body. The headers here were captured from a DefaultMQProducer and a RemotingCommand of 5.5.0. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CODE_PULL_MESSAGE = 11,
    CODE_UPDATE_AND_CREATE_TOPIC = 17,
    CODE_GET_ROUTEINFO_BY_TOPIC = 105,
    CODE_SEND_MESSAGE_V2 = 310,

    REPLY_SUCCESS = 0,
    REPLY_SYSTEM_BUSY = 2,
    REPLY_PULL_NOT_FOUND = 19,
    REPLY_PULL_RETRY_IMMEDIATELY = 20,
    REPLY_PULL_OFFSET_MOVED = 21,
    REPLY_FLOW_CONTROL = 215,
};

/* Bytes from start to length are waiting; what is before start was taken. */
struct buffer {
    char *data;
    size_t start, length, capacity;
};

/* Makes room for `more` bytes behind `length` and returns where they go. Ends the process without memory. */
char *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_take(struct buffer *buffer, size_t count);

struct send_request {
    const char *topic, *broker_name;
    int queue_id;
    int32_t opaque;
    const char *body;
    size_t body_size;
    const char *access_key, *secret_key; /* NULL: not signed */
};

struct pull_request {
    const char *topic, *broker_name;
    int queue_id, batch;
    int64_t offset;
    bool suspend; /* wait at the server while there is nothing */
    int32_t opaque;
};

void write_send(struct buffer *out, const struct send_request *request);
void write_pull(struct buffer *out, const struct pull_request *request);
void write_route(struct buffer *out, const char *topic, int32_t opaque);
void write_create_topic(struct buffer *out, const char *topic, int queues, int32_t opaque);

struct reply {
    int code, flag;
    int32_t opaque;
    bool has_opaque, has_queue_offset, has_message_id;
    int64_t next_begin_offset, max_offset, queue_offset;
    const char *body;
    size_t body_size;
};

enum parsed { PARSED_REPLY, PARSED_MORE, PARSED_GARBAGE };

/* Looks for one whole frame at the front of `in`; `size` is its length, to be taken when done with it. */
enum parsed parse_reply(const struct buffer *in, struct reply *reply, size_t *size);

/* Counts the stored messages in the body of a pull. Each must lie in `queue_id`, the first at `offset`, the
   others each after the one before. Returns -1 when one does not. */
int64_t count_messages(const struct reply *reply, int queue_id, int64_t offset);

#endif
