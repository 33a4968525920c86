/** A refusal. */
export class GatewayError extends Error {
    /**
     * @param {string} code RocketMQ's word, or CLOSED, DISCONNECTED, QUEUE_FULL, UNKNOWN_OUTCOME of this module.
     * @param {string} message
     * @param {{status?: number, reason?: string, retryAfterMs?: number}} [more]
     */
    constructor(code: string, message: string, more?: {
        status?: number | undefined;
        reason?: string | undefined;
        retryAfterMs?: number | undefined;
    } | undefined);
    code: string;
    /** RocketMQ's number. */
    status: number;
    /** The gateway's finer word. */
    reason: string;
    /** The same may succeed after so long; absent: it will not. */
    retryAfterMs: number | undefined;
}
/** A message that came. */
export class Message {
    /** @param {Client} client @param {any} fields @param {Subscription} [subscription] @param {any} [by] what settles it */
    constructor(client: Client, fields: any, subscription?: Subscription | undefined, by?: any);
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
    /** Whether its settlement was said. */ settled: boolean;
    /** Done with for good. */ ack(): Promise<void>;
    /** Others may have it at once. */ nack(): Promise<void>;
    /** It comes again after a time. @param {number} delayMs */ retry(delayMs: number): Promise<void>;
    /** To the dead-letter queue. */ reject(): Promise<void>;
    /** Answer a request. @param {string | Uint8Array | Outgoing} message @returns {Promise<void>} */
    reply(message: string | Uint8Array | Outgoing): Promise<void>;
    /** @internal It was delivered again, over another connection. @param {any} by */
    _again(by: any): void;
    #private;
}
/** A subscription: iterate over it, or give `Client.subscribe` a handler. */
export class Subscription {
    /** @param {Client} client @param {string} name @param {SubscribeOptions} options @param {(message: Message) => unknown} [handler] */
    constructor(client: Client, name: string, options: SubscribeOptions, handler?: ((message: Message) => unknown) | undefined);
    name: string;
    options: SubscribeOptions;
    credit: number;
    /** No more; what is not settled goes to others. @returns {Promise<void>} */
    close(): Promise<void>;
    /** @internal @param {Error} [error] */
    _end(error?: Error | undefined): void;
    /** @internal What the gateway is told, also when a new connection stands. */
    _frame(): {
        subscription: string;
        credit: number;
        topic: string;
        group: string;
        /**
         * `*`, `A || B`, or SQL92.
         */
        filter?: string | undefined;
        filterType?: "TAG" | "SQL92" | undefined;
        invisibleMs?: number | undefined;
        autoRenew?: boolean | undefined;
        /**
         * Delivered is done with: a lost connection may lose messages.
         */
        autoAck?: boolean | undefined;
        fifo?: boolean | undefined;
        start?: "max" | "min" | undefined;
        /**
         * Of a topic of type LITE.
         */
        liteTopics?: string[] | undefined;
    };
    /** @internal @type {WeakSet<Message>} */ _handedOut: WeakSet<Message>;
    /** @internal @param {any} frame @param {number} connection */
    _deliver(frame: any, connection: number): void;
    /** @internal @param {Message} message @param {string} op @param {any} by @param {object} [more] */
    _settle(message: Message, op: string, by: any, more?: object | undefined): Promise<void>;
    /** @returns {AsyncIterator<Message>} */
    [Symbol.asyncIterator](): AsyncIterator<Message>;
    #private;
}
/** A client: one connection, made again when it is lost. */
export class Client {
    /** @param {string | URL} [url] The gateway, ws: or wss:; absent: where this module came from. @param {Options} [options] */
    constructor(url?: string | URL | undefined, options?: Options | undefined);
    /** @type {State} */ state: State;
    /** @internal Counts connections. */ _connection: number;
    clientId: string;
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
    subscribe(options: SubscribeOptions, handler?: ((message: Message) => unknown) | undefined): Subscription;
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
    request(topic: string, message: string | Uint8Array | Outgoing, timeoutMs?: number | undefined): Promise<Message>;
    /**
     * Any frame of the protocol (AsyncAPI: /asyncapi.json), once: rejects with DISCONNECTED when the connection is lost.
     * @param {string} op @param {object} [fields] @returns {Promise<any>}
     */
    call(op: string, fields?: object | undefined): Promise<any>;
    /** Resolves when every send is confirmed or has failed. @returns {Promise<void>} */
    flush(): Promise<void>;
    /** The end. Sends that are not confirmed fail: `await flush()` before. */
    close(): void;
    /** @internal @param {object} frame @returns {boolean} */
    _write(frame: object): boolean;
    /** @internal @param {Subscription} one */
    _forget(one: Subscription): void;
    /** @internal Something went wrong that nobody waits for. @param {Error} error */
    _tell(error: Error): void;
    #private;
}
/**
 * A message to send; its body is `text` or `body`.
 */
export type Outgoing = {
    text?: string | undefined;
    body?: Uint8Array | undefined;
    /**
     * One is made if it is absent.
     */
    messageId?: string | undefined;
    tag?: string | undefined;
    keys?: string[] | undefined;
    properties?: Record<string, string> | undefined;
    /**
     * Messages of one group are consumed in order.
     */
    messageGroup?: string | undefined;
    queueId?: number | undefined;
    delayMs?: number | undefined;
    /**
     * Milliseconds since 1970.
     */
    deliverAt?: number | undefined;
    priority?: number | undefined;
    liteTopic?: string | undefined;
};
export type Sent = {
    messageId: string;
    queueId: number;
    offset: number;
    transactionId?: string | undefined;
    recallHandle?: string | undefined;
    /**
     * It was stored by an earlier attempt.
     */
    repeated?: boolean | undefined;
};
/**
 * One of: a token; a key with its secret; a ticket.
 */
export type Credential = {
    token?: string | undefined;
    accessKey?: string | undefined;
    secretKey?: string | undefined;
    ticket?: string | undefined;
};
export type Options = {
    clientId?: string | undefined;
    /**
     * A function is asked at each connection.
     */
    credential?: Credential | (() => Credential | Promise<Credential>) | undefined;
    /**
     * Sends that may wait for their confirmation, connected or not: 1000.
     */
    maxUnconfirmed?: number | undefined;
    /**
     * After so long a silence the gateway is asked whether it is there: 25,000.
     */
    keepAliveMs?: number | undefined;
    onState?: ((state: State, error?: Error) => void) | undefined;
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
    filter?: string | undefined;
    filterType?: "TAG" | "SQL92" | undefined;
    /**
     * Messages that may be delivered and unsettled: 32.
     */
    credit?: number | undefined;
    invisibleMs?: number | undefined;
    autoRenew?: boolean | undefined;
    /**
     * Delivered is done with: a lost connection may lose messages.
     */
    autoAck?: boolean | undefined;
    fifo?: boolean | undefined;
    start?: "max" | "min" | undefined;
    /**
     * Of a topic of type LITE.
     */
    liteTopics?: string[] | undefined;
    /**
     * When a message whose handler failed comes again: 1000.
     */
    retryMs?: number | undefined;
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
