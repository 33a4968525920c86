/**
 * RocketMQ for browsers, through rmqgateway's WebSocket (sub-protocol rmqgateway.v1.json).
 *
 *     const client = new Client("ws://127.0.0.1:8080/");
 *     await client.send("orders", "hello");
 *     for await (const message of client.subscribe({ topic: "orders", group: "page" })) {
 *       show(message.text);
 *       await message.ack();
 *     }
 *
 * A lost connection is made again: subscriptions go on, sends that were not confirmed are repeated under their message ids,
 * so that none is lost and none is stored twice.
 */
export type Outgoing = {
    text?: string;
    body?: Uint8Array;
    /**
     * One is made if it is absent.
     */
    messageId?: string;
    tag?: string;
    keys?: string[];
    properties?: Record<string, string>;
    /**
     * Messages of one group are consumed in order.
     */
    messageGroup?: string;
    queueId?: number;
    delayMs?: number;
    /**
     * Milliseconds since 1970.
     */
    deliverAt?: number;
    priority?: number;
    liteTopic?: string;
};
export type Sent = {
    messageId: string;
    queueId: number;
    offset: number;
    transactionId?: string;
    recallHandle?: string;
    /**
     * It was stored by an earlier attempt.
     */
    repeated?: boolean;
};
export type Credential = {
    token?: string;
    accessKey?: string;
    secretKey?: string;
    ticket?: string;
};
export type Options = {
    clientId?: string;
    /**
     * A function is asked at each connection.
     */
    credential?: Credential | (() => Credential | Promise<Credential>);
    /**
     * Sends that may wait for their confirmation, connected or not: 1000.
     */
    maxUnconfirmed?: number;
    /**
     * After so long a silence the gateway is asked whether it is there: 25,000.
     */
    keepAliveMs?: number;
    onState?: (state: State, error?: Error) => void;
    /**
     * Another implementation.
     */
    WebSocket?: any;
};
export type State = "connecting" | "open" | "waiting" | "closed";
export type SubscribeOptions = {
    topic: string;
    group: string;
    /**
     * `*`, `A || B`, or SQL92.
     */
    filter?: string;
    filterType?: "TAG" | "SQL92";
    /**
     * Messages that may be delivered and unsettled: 32.
     */
    credit?: number;
    invisibleMs?: number;
    autoRenew?: boolean;
    /**
     * Delivered is done with: a lost connection may lose messages.
     */
    autoAck?: boolean;
    fifo?: boolean;
    /**
     * Where a new group begins ("min"), or who listens to a broadcast ("max").
     */
    start?: "min" | "max";
    /**
     * Every member of the group gets every message; nothing is acknowledged.
     */
    broadcast?: boolean;
    /**
     * Of a broadcast: go on after the message whose `place` this is.
     */
    place?: string;
    /**
     * Of a topic of type LITE.
     */
    liteTopics?: string[];
    /**
     * When a message whose handler failed comes again: 1000.
     */
    retryMs?: number;
};
export type ReplyTo = {
    correlationId: string;
    client: string;
    cluster?: string;
    timeoutMs?: number;
};
export type Unconfirmed = {
    frame: any;
    resolve: (value: any) => void;
    reject: (error: Error) => void;
    at: number;
    under: boolean;
};
/** A refusal. */
export declare class GatewayError extends Error {
    code: string;
    /** RocketMQ's number. */
    status: number;
    /** The gateway's finer word. */
    reason: string;
    /** The same may succeed after so long; absent: it will not. */
    retryAfterMs: number | undefined;
    /**
     * @param {string} code RocketMQ's word, or CLOSED, DISCONNECTED, QUEUE_FULL, UNKNOWN_OUTCOME of this module.
     * @param {string} message
     * @param {{status?: number, reason?: string, retryAfterMs?: number}} [more]
     */
    constructor(code: string, message: string, more?: {
        status?: number;
        reason?: string;
        retryAfterMs?: number;
    });
}
/** A message that came. */
export declare class Message {
    #private;
    /** @type {string} */ topic: string;
    /** @type {string} */ messageId: string;
    /** @type {string | undefined} The body, where it is UTF-8. */ text: string | undefined;
    /** @type {Uint8Array | undefined} The body, where it is not. */
    body: Uint8Array | undefined;
    /** @type {string} */ tag: string;
    /** @type {string[]} */ keys: string[];
    /** @type {Record<string, string>} */ properties: Record<string, string>;
    /** @type {string} */ messageGroup: string;
    /** @type {number} */ queueId: number;
    /** @type {number} */ offset: number;
    /** @type {number} */ bornTimestamp: number;
    /** @type {string} */ bornHost: string;
    /** @type {number} */ deliverAt: number;
    /** @type {number | undefined} */ priority: number | undefined;
    /** @type {string} */ liteTopic: string;
    /** @type {number} */ storeTimestamp: number;
    /** @type {number} */ attempt: number;
    /** @type {ReplyTo | undefined} */ replyTo: ReplyTo | undefined;
    /** @type {string} Of a broadcast: where the subscription is after it. */ place: string;
    /** Whether its settlement was said. */ settled: boolean;
    /** @param {Client} client @param {any} fields @param {Subscription} [subscription] @param {any} [by] what settles it */
    constructor(client: Client, fields: any, subscription?: Subscription, by?: any);
    /** Done with for good. */ ack(): Promise<void>;
    /** Others may have it at once. */ nack(): Promise<void>;
    /** It comes again after a time. @param {number} delayMs */ retry(delayMs: number): Promise<void>;
    /** To the dead-letter queue. */ reject(): Promise<void>;
    /** Answer a request. @param {string | Uint8Array | Outgoing} message @returns {Promise<void>} */
    reply(message: string | Uint8Array | Outgoing): Promise<void>;
}
/** A subscription: iterate over it, or give `Client.subscribe` a handler. */
export declare class Subscription {
    #private;
    name: string;
    options: SubscribeOptions;
    credit: number;
    /** @param {Client} client @param {string} name @param {SubscribeOptions} options @param {(message: Message) => unknown} [handler] */
    constructor(client: Client, name: string, options: SubscribeOptions, handler?: (message: Message) => unknown);
    /** @returns {AsyncIterator<Message>} */
    [Symbol.asyncIterator](): AsyncIterator<Message>;
    /** No more; what is not settled goes to others. @returns {Promise<void>} */
    close(): Promise<void>;
}
/** A client: one connection, made again when it is lost. */
export declare class Client {
    #private;
    clientId: string;
    /** @type {State} */ state: State;
    /** @param {string | URL} [url] The gateway, ws: or wss:; absent: where this module came from. @param {Options} [options] */
    constructor(url?: string | URL, options?: Options);
    /** How many sends are not confirmed. */
    get unconfirmed(): number;
    /**
     * Send one message; resolves when it is durable. Repeated over reconnects until it is, or until nobody could know any more
     * whether it was stored (UNKNOWN_OUTCOME).
     * @param {string} topic @param {string | Uint8Array | Outgoing} message @returns {Promise<Sent>}
     */
    send(topic: string, message: string | Uint8Array | Outgoing): Promise<Sent>;
    /** Send many, all or none. @param {string} topic @param {(string | Uint8Array | Outgoing)[]} messages @returns {Promise<Sent[]>} */
    sendAll(topic: string, messages: (string | Uint8Array | Outgoing)[]): Promise<Sent[]>;
    /**
     * Prepare a message; consumers get it when it is committed.
     * @param {string} topic @param {string | Uint8Array | Outgoing} message @param {string} producerGroup
     * @returns {Promise<Sent & {commit: () => Promise<void>, rollback: () => Promise<void>}>}
     */
    begin(topic: string, message: string | Uint8Array | Outgoing, producerGroup: string): Promise<Sent & {
        commit: () => Promise<void>;
        rollback: () => Promise<void>;
    }>;
    /**
     * Answer what became of a producer group's transactions: "commit", "rollback", or nothing.
     * @param {string} producerGroup @param {(message: Message) => unknown} handler
     */
    onCheck(producerGroup: string, handler: (message: Message) => unknown): void;
    /** @param {SubscribeOptions} options @param {(message: Message) => unknown} [handler] Acknowledged when it is done, tried again when
     *  it throws. Without one: iterate. @returns {Subscription} */
    subscribe(options: SubscribeOptions, handler?: (message: Message) => unknown): Subscription;
    /**
     * Receive once. @param {{topic: string, group: string, maxMessages?: number, waitMs?: number, invisibleMs?: number, filter?: string,
     * filterType?: "TAG" | "SQL92", fifo?: boolean, liteTopics?: string[]}} options @returns {Promise<Message[]>}
     */
    receive(options: {
        topic: string;
        group: string;
        maxMessages?: number;
        waitMs?: number;
        invisibleMs?: number;
        filter?: string;
        filterType?: "TAG" | "SQL92";
        fifo?: boolean;
        liteTopics?: string[];
    }): Promise<Message[]>;
    /** Send a request, wait for its reply. @param {string} topic @param {string | Uint8Array | Outgoing} message @param {number} [timeoutMs]
     *  @returns {Promise<Message>} */
    request(topic: string, message: string | Uint8Array | Outgoing, timeoutMs?: number): Promise<Message>;
    /**
     * Any frame of the protocol (AsyncAPI: /asyncapi.json), once: rejects with DISCONNECTED when the connection is lost.
     * @param {string} op @param {object} [fields] @returns {Promise<any>}
     */
    call(op: string, fields?: object): Promise<any>;
    /** Resolves when every send is confirmed or has failed. @returns {Promise<void>} */
    flush(): Promise<void>;
    /** The end. Sends that are not confirmed fail: `await flush()` before. */
    close(): void;
}
