#include "wire.h"

#include "sign.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_LIMIT = 2048, NAME_SIZE = 1024, STORED_MAGIC = -626843481 }; /* magic: MessageDecoder.MESSAGE_MAGIC_CODE */

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->start == buffer->length)
        buffer->start = buffer->length = 0;
    if (buffer->length + more > buffer->capacity && buffer->start > buffer->capacity / 2) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->length - buffer->start);
        buffer->length -= buffer->start;
        buffer->start = 0;
    }
    if (buffer->length + more > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : 4096;
        while (capacity < buffer->length + more)
            capacity *= 2;
        buffer->data = realloc(buffer->data, capacity);
        if (!buffer->data) {
            fprintf(stderr, "out of memory for a buffer of %zu bytes\n", capacity);
            exit(1);
        }
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

void buffer_take(struct buffer *buffer, size_t count)
{
    buffer->start += count;
    if (buffer->start == buffer->length)
        buffer->start = buffer->length = 0;
}

static int64_t milliseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The header was printed 8 bytes behind the end of `out`: puts the lengths before it and the body after it. */
static void finish(struct buffer *out, int header_size, const char *body, size_t body_size)
{
    uint32_t lengths[2] = {htonl((uint32_t)(4 + header_size + body_size)), htonl((uint32_t)header_size)};
    if (header_size >= HEADER_LIMIT) {
        fprintf(stderr, "a header of %d bytes: the topic's name is too long\n", header_size);
        exit(1);
    }
    memcpy(out->data + out->length, lengths, sizeof lengths);
    out->length += sizeof lengths + (size_t)header_size;
    if (body_size) {
        memcpy(buffer_reserve(out, body_size), body, body_size);
        out->length += body_size;
    }
}

#define TAIL "},\"flag\":0,\"language\":\"JAVA\",\"opaque\":%d,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":513}"

/* The fields of a signed request: AclClientRPCHook signs the values of all fields in the order of their names, and the body. */
static void write_signature(char *fields, size_t room, const struct send_request *request, const char *time, const char *key)
{
    char head[NAME_SIZE], tail[HEADER_LIMIT], signature[SIGNATURE_SIZE];
    /* AccessKey, a to f; then g, h, i (the properties, with the bytes that JSON has escaped), j, k, m, n. */
    int before = snprintf(head, sizeof head, "%sbench_producer%sTBW1024%d0", request->access_key, request->topic, request->queue_id);
    int behind = snprintf(tail, sizeof tail, "%s0UNIQ_KEY\1%s\2WAIT\1true\2" "0falsefalse%s", time, key, request->broker_name);
    if (before >= (int)sizeof head || behind >= (int)sizeof tail) {
        fprintf(stderr, "names that are too long to sign\n");
        exit(1);
    }
    sign(request->secret_key, (struct piece[]){{head, (size_t)before}, {tail, (size_t)behind}, {request->body, request->body_size}},
        3, signature);
    snprintf(fields, room, "\"AccessKey\":\"%s\",\"Signature\":\"%s\",", request->access_key, signature);
}

void write_send(struct buffer *out, const struct send_request *request)
{
    static unsigned counter;
    int64_t now = milliseconds_now();
    char time[24], key[40], signature[NAME_SIZE] = "";
    snprintf(time, sizeof time, "%lld", (long long)now);
    snprintf(key, sizeof key, "7F000001%04X1DBD16A6%08X%04X", (unsigned)getpid() & 0xffff, (unsigned)now, counter++ & 0xffff);
    if (request->access_key)
        write_signature(signature, sizeof signature, request, time, key);
    char *header = buffer_reserve(out, HEADER_LIMIT + request->body_size) + 8;
    int size = snprintf(header, HEADER_LIMIT - 8,
        "{\"code\":310,\"extFields\":{%s\"a\":\"bench_producer\",\"b\":\"%s\",\"c\":\"TBW102\",\"d\":\"4\","
        "\"e\":\"%d\",\"f\":\"0\",\"g\":\"%s\",\"h\":\"0\","
        "\"i\":\"UNIQ_KEY\\u0001%s\\u0002WAIT\\u0001true\\u0002\","
        "\"j\":\"0\",\"k\":\"false\",\"m\":\"false\",\"n\":\"%s\"" TAIL,
        signature, request->topic, request->queue_id, time, key, request->broker_name, request->opaque);
    finish(out, size, request->body, request->body_size);
}

void write_pull(struct buffer *out, const struct pull_request *request)
{
    char *header = buffer_reserve(out, HEADER_LIMIT) + 8;
    int size = snprintf(header, HEADER_LIMIT - 8,
        "{\"code\":11,\"extFields\":{\"queueId\":\"%d\",\"maxMsgBytes\":\"2147483647\",\"maxMsgNums\":\"%d\","
        "\"sysFlag\":\"%d\",\"commitOffset\":\"0\",\"subscription\":\"*\",\"requestSource\":\"0\","
        "\"suspendTimeoutMillis\":\"15000\",\"bname\":\"%s\",\"topic\":\"%s\",\"queueOffset\":\"%lld\","
        "\"expressionType\":\"TAG\",\"subVersion\":\"1795254139867\",\"consumerGroup\":\"bench_consumer\"" TAIL,
        request->queue_id, request->batch, request->suspend ? 6 : 4, request->broker_name, request->topic,
        (long long)request->offset, request->opaque);
    finish(out, size, NULL, 0);
}

void write_route(struct buffer *out, const char *topic, int32_t opaque)
{
    char *header = buffer_reserve(out, HEADER_LIMIT) + 8;
    int size = snprintf(header, HEADER_LIMIT - 8, "{\"code\":105,\"extFields\":{\"topic\":\"%s\"" TAIL, topic, opaque);
    finish(out, size, NULL, 0);
}

void write_create_topic(struct buffer *out, const char *topic, int queues, int32_t opaque)
{
    char *header = buffer_reserve(out, HEADER_LIMIT) + 8;
    int size = snprintf(header, HEADER_LIMIT - 8,
        "{\"code\":17,\"extFields\":{\"readQueueNums\":\"%d\",\"perm\":\"6\",\"writeQueueNums\":\"%d\","
        "\"topicFilterType\":\"SINGLE_TAG\",\"topic\":\"%s\",\"force\":\"false\",\"defaultTopic\":\"TBW102\","
        "\"order\":\"false\",\"topicSysFlag\":\"0\"" TAIL,
        queues, queues, topic, opaque);
    finish(out, size, NULL, 0);
}

/* A walk over one JSON header. Every step stays before `end`; `at` is NULL once something was wrong. */
struct cursor {
    const char *at, *end;
};

struct text {
    const char *data;
    size_t size;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at && cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n'))
        cursor->at++;
}

static bool next_is(struct cursor *cursor, char wanted)
{
    skip_space(cursor);
    if (!cursor->at || cursor->at >= cursor->end || *cursor->at != wanted)
        return false;
    cursor->at++;
    return true;
}

static struct text read_string(struct cursor *cursor)
{
    struct text text = {NULL, 0};
    if (!next_is(cursor, '"')) {
        cursor->at = NULL;
        return text;
    }
    text.data = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"')
        cursor->at += *cursor->at == '\\' ? 2 : 1;
    if (cursor->at >= cursor->end) {
        cursor->at = NULL;
        return text;
    }
    text.size = (size_t)(cursor->at - text.data);
    cursor->at++;
    return text;
}

/* A number, literal, string or anything nested, as it stands. */
static struct text read_value(struct cursor *cursor)
{
    skip_space(cursor);
    if (!cursor->at || cursor->at >= cursor->end)
        return (struct text){NULL, 0};
    if (*cursor->at == '"')
        return read_string(cursor);
    struct text text = {cursor->at, 0};
    int depth = 0;
    while (cursor->at && cursor->at < cursor->end) {
        char c = *cursor->at;
        if (c == '"') {
            read_string(cursor);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}'))
            break;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        cursor->at++;
    }
    if (cursor->at)
        text.size = (size_t)(cursor->at - text.data);
    return text;
}

static bool is(struct text text, const char *name)
{
    return text.data && text.size == strlen(name) && memcmp(text.data, name, text.size) == 0;
}

static int64_t number(struct text text)
{
    char digits[24] = {0};
    memcpy(digits, text.data ? text.data : "", text.size < sizeof digits - 1 ? text.size : sizeof digits - 1);
    return strtoll(digits, NULL, 10);
}

static void read_object(struct cursor *cursor, struct reply *reply, bool top)
{
    if (!next_is(cursor, '{')) {
        cursor->at = NULL;
        return;
    }
    while (cursor->at && !next_is(cursor, '}')) {
        struct text name = read_string(cursor);
        if (!next_is(cursor, ':')) {
            cursor->at = NULL;
            return;
        }
        if (top && is(name, "extFields")) {
            read_object(cursor, reply, false);
        } else {
            struct text value = read_value(cursor);
            if (top && is(name, "opaque")) {
                reply->opaque = (int32_t)number(value);
                reply->has_opaque = true;
            } else if (top && is(name, "code"))
                reply->code = (int)number(value);
            else if (top && is(name, "flag"))
                reply->flag = (int)number(value);
            else if (!top && is(name, "nextBeginOffset"))
                reply->next_begin_offset = number(value);
            else if (!top && is(name, "maxOffset"))
                reply->max_offset = number(value);
            else if (!top && is(name, "msgId"))
                reply->has_message_id = value.size > 0;
            else if (!top && is(name, "queueOffset")) {
                reply->queue_offset = number(value);
                reply->has_queue_offset = true;
            }
        }
        next_is(cursor, ',');
    }
}

static uint32_t read_uint32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return ntohl(value);
}

enum parsed parse_reply(const struct buffer *in, struct reply *reply, size_t *size)
{
    const char *frame = in->data + in->start;
    size_t held = in->length - in->start;
    if (held < 8)
        return PARSED_MORE;
    uint32_t length = read_uint32(frame), word = read_uint32(frame + 4);
    uint32_t header_size = word & 0xffffff;
    if (length > (64u << 20) || word >> 24 != 0 || header_size + 4 > length)
        return PARSED_GARBAGE;
    if (held < 4 + (size_t)length)
        return PARSED_MORE;
    memset(reply, 0, sizeof *reply);
    reply->code = -1;
    struct cursor cursor = {frame + 8, frame + 8 + header_size};
    read_object(&cursor, reply, true);
    if (!cursor.at || !reply->has_opaque || !(reply->flag & 1))
        return PARSED_GARBAGE;
    reply->body = frame + 8 + header_size;
    reply->body_size = length - 4 - header_size;
    *size = 4 + (size_t)length;
    return PARSED_REPLY;
}

int64_t count_messages(const struct reply *reply, int queue_id, int64_t offset)
{
    int64_t count = 0;
    size_t at = 0;
    while (at < reply->body_size) {
        const char *stored = reply->body + at;
        size_t left = reply->body_size - at;
        if (left < 28)
            return -1;
        uint32_t size = read_uint32(stored);
        int64_t queue_offset = (int64_t)read_uint32(stored + 20) << 32 | read_uint32(stored + 24);
        if (size < 28 || size > left || (int32_t)read_uint32(stored + 4) != STORED_MAGIC)
            return -1;
        if ((int)read_uint32(stored + 12) != queue_id || queue_offset != offset + count)
            return -1;
        at += size;
        count++;
    }
    return count;
}
