/* The kinds of request that the closed loop can send. */
#include "load.h"

static int place_count(const struct load *load)
{
    return load->options->topics * load->options->queues;
}

static const char *topic_of(const struct load *load, int place)
{
    return load->topics[place % load->options->topics];
}

static int queue_of(const struct load *load, int place)
{
    return place / load->options->topics;
}

static bool request_send(struct load *load, struct slot *slot, struct buffer *out)
{
    const struct options *options = load->options;
    slot->queue = (int)(load->sent % place_count(load));
    slot->large = options->mix_4mb && load->sent % options->mix_4mb == options->mix_4mb - 1;
    write_send(out, &(struct send_request){
        .topic = topic_of(load, slot->queue), .broker_name = options->broker_name,
        .queue_id = queue_of(load, slot->queue), .opaque = slot->opaque, .body = load->body,
        .body_size = slot->large ? 4u << 20 : (size_t)options->body_size,
        .access_key = options->access_key, .secret_key = options->secret_key});
    return true;
}

static int64_t reply_send(struct load *load, const struct slot *slot, const struct reply *reply)
{
    (void)slot;
    if (reply->code != REPLY_SUCCESS)
        return -1;
    if (!reply->has_message_id || !reply->has_queue_offset) {
        load->result.unexpected++;
        return -1;
    }
    return 1;
}

/* The next queue that nobody reads; with a time to fill a finished one is read again from its start. */
static bool request_pull(struct load *load, struct slot *slot, struct buffer *out)
{
    const struct options *options = load->options;
    int count = place_count(load), tried = 0;
    while (tried < count && (load->places[load->place].taken || load->places[load->place].finished)) {
        load->place = (load->place + 1) % count;
        tried++;
    }
    if (tried == count)
        return false;
    struct queue_place *place = &load->places[load->place];
    slot->queue = load->place;
    slot->offset = place->next;
    place->taken = true;
    load->place = (load->place + 1) % count;
    write_pull(out, &(struct pull_request){
        .topic = topic_of(load, slot->queue), .broker_name = options->broker_name,
        .queue_id = queue_of(load, slot->queue), .batch = options->batch, .offset = slot->offset,
        .opaque = slot->opaque});
    return true;
}

static int64_t reply_pull(struct load *load, const struct slot *slot, const struct reply *reply)
{
    struct queue_place *place = &load->places[slot->queue];
    place->taken = false;
    if (reply->code == REPLY_PULL_NOT_FOUND || reply->code == REPLY_PULL_OFFSET_MOVED) {
        place->next = 0;
        place->finished = load->options->seconds == 0;
        return 0;
    }
    if (reply->code == REPLY_PULL_RETRY_IMMEDIATELY) {
        place->next = reply->next_begin_offset;
        return 0;
    }
    if (reply->code != REPLY_SUCCESS) {
        place->finished = reply->code != REPLY_SYSTEM_BUSY && reply->code != REPLY_FLOW_CONTROL;
        return -1; /* asked again it would be refused again, as fast as both sides can */
    }
    int64_t messages = count_messages(reply, queue_of(load, slot->queue), slot->offset);
    if (messages <= 0 || reply->next_begin_offset != slot->offset + messages) {
        load->result.unexpected++;
        place->finished = true;
        return -1;
    }
    place->next = reply->next_begin_offset;
    if (place->next >= reply->max_offset) { /* spares the empty pull at the end */
        place->next = 0;
        place->finished = load->options->seconds == 0;
    }
    return messages;
}

static bool request_route(struct load *load, struct slot *slot, struct buffer *out)
{
    write_route(out, load->topics[load->sent % load->options->topics], slot->opaque);
    return true;
}

static int64_t reply_route(struct load *load, const struct slot *slot, const struct reply *reply)
{
    (void)load;
    (void)slot;
    return reply->code == REPLY_SUCCESS && reply->body_size > 2 ? 1 : -1;
}

/* Every topic once: the count is the number of topics. */
static bool request_create(struct load *load, struct slot *slot, struct buffer *out)
{
    const struct options *options = load->options;
    write_create_topic(out, load->topics[load->sent % options->topics], options->queues, slot->opaque);
    return true;
}

static int64_t reply_create(struct load *load, const struct slot *slot, const struct reply *reply)
{
    (void)load;
    (void)slot;
    return reply->code == REPLY_SUCCESS ? 1 : -1;
}

const struct mode MODES[] = {
    {"send", request_send, reply_send},       {"pull", request_pull, reply_pull},
    {"route", request_route, reply_route},    {"create", request_create, reply_create},
    {0},
};
