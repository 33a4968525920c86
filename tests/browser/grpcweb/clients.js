// The three libraries under one face. Messages are protobuf-es's here; grpc-web and improbable's client are given google-protobuf's,
// which are made of the same bytes. Each library encodes, sends, decodes and reports errors by itself.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { grpc } from "@improbable-eng/grpc-web";
import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";
import adminMessages from "rocketmq-client-nodejs/proto/apache/rocketmq/v2/admin_pb.js";
import serviceMessages from "rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js";
import { Admin } from "./gen/apache/rocketmq/v2/admin_pb.js";
import { MessagingService } from "./gen/apache/rocketmq/v2/service_pb.js";

const method_of = (service, name) => service.methods.find((one) => one.name === name);

/**
 * What a method is in both worlds. A method that does not exist borrows the messages of Heartbeat; of the Admin service the
 * old world has ChangeLogLevel only.
 */
function described(name) {
  const service = method_of(Admin, name) ? Admin : MessagingService;
  const old = service === Admin ? adminMessages : serviceMessages;
  const method = method_of(service, name) ?? method_of(service, "Heartbeat");
  const Request = old[method.input.name];
  const Response = old[method.output.name];
  const path = `/${service.typeName}/${name}`;
  return {
    path, service, method, name, Request, Response,
    toOld: (init) => Request.deserializeBinary(toBinary(method.input, create(method.input, init))),
    toNew: (message) => fromBinary(method.output, message.serializeBinary()),
  };
}

class CallError extends Error {
  constructor(code, text) {
    super(`${code}: ${text}`);
    this.code = code;
    this.text = text;
  }
}

/** A stream's messages: `next()` is one, or undefined at its end, and throws a CallError. */
class Stream {
  #messages = [];
  #waiting = [];
  #end = null;

  push(message) {
    this.#messages.push(message);
    this.#settle();
  }

  end(error) {
    this.#end ??= { error };
    this.#settle();
  }

  next() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#settle();
    });
  }

  async all() {
    const found = [];
    for (let one; (one = await this.next()) !== undefined;) found.push(one);
    return found;
  }

  #settle() {
    while (this.#waiting.length) {
      if (this.#messages.length) this.#waiting.shift().resolve(this.#messages.shift());
      else if (!this.#end) return;
      else if (this.#end.error) this.#waiting.shift().reject(this.#end.error);
      else this.#waiting.shift().resolve(undefined);
    }
  }
}

function connect(base) {
  const transport = createGrpcWebTransport({ baseUrl: base });
  const call = (name) => {
    const { service, method } = described(name);
    const client = createClient(service, transport);
    return (...rest) => client[method.localName](...rest);
  };
  return {
    unary: (name, init, headers) =>
      call(name)(init, { headers }).catch((error) => { throw new CallError(error.code, error.rawMessage); }),
    stream(name, init, headers) {
      const cancelling = new AbortController();
      const messages = call(name)(init, { headers, signal: cancelling.signal })[Symbol.asyncIterator]();
      const next = () => messages.next().then(
        ({ done, value }) => (done ? undefined : value),
        (error) => { throw new CallError(error.code, error.rawMessage); },
      );
      // Nothing is read before it is asked for.
      return { next, all: Stream.prototype.all, cancel: () => cancelling.abort() };
    },
  };
}

function grpcWeb(base, format) {
  const client = new GrpcWebClientBase({ format });
  const descriptor = ({ path, Request, Response }, type) =>
    new MethodDescriptor(path, type, Request, Response, (one) => one.serializeBinary(), Response.deserializeBinary);
  return {
    telemetry: true, // as a stream of the server, whose request has one message
    async unary(name, init, headers) {
      const it = described(name);
      try {
        return it.toNew(
          await client.unaryCall(base + it.path, it.toOld(init), headers, descriptor(it, MethodType.UNARY)),
        );
      } catch (error) {
        throw new CallError(error.code, error.message);
      }
    },
    stream(name, init, headers) {
      const it = described(name);
      const type = descriptor(it, MethodType.SERVER_STREAMING);
      const stream = new Stream();
      const calling = client.serverStreaming(base + it.path, it.toOld(init), headers, type);
      calling.on("data", (message) => stream.push(it.toNew(message)));
      calling.on("error", (error) => stream.end(new CallError(error.code, error.message)));
      calling.on("end", () => stream.end());
      stream.cancel = () => calling.cancel();
      return stream;
    },
  };
}

function improbable(base, transport, bidirectional = false) {
  const definition = ({ service, Request, Response, method, name }) => ({
    methodName: name,
    service: { serviceName: service.typeName },
    requestStream: method.methodKind === "bidi_streaming",
    responseStream: method.methodKind !== "unary",
    requestType: Request,
    responseType: Response,
  });
  const metadata = (headers) => new grpc.Metadata(headers);
  return {
    telemetry: bidirectional,
    unary: (name, init, headers) => new Promise((resolve, reject) => {
      const it = described(name);
      grpc.unary(definition(it), {
        request: it.toOld(init), host: base, metadata: metadata(headers), transport,
        onEnd: ({ status, statusMessage, message }) =>
          (status === grpc.Code.OK ? resolve(it.toNew(message)) : reject(new CallError(status, statusMessage))),
      });
    }),
    stream(name, init, headers) {
      const it = described(name);
      const stream = new Stream();
      const calling = grpc.invoke(definition(it), {
        request: it.toOld(init), host: base, metadata: metadata(headers), transport,
        onMessage: (message) => stream.push(it.toNew(message)),
        onEnd: (code, text) => stream.end(code === grpc.Code.OK ? undefined : new CallError(code, text)),
      });
      stream.cancel = () => calling.close();
      return stream;
    },
    /** Both directions: `send(init)`, `finish()`, and a Stream. */
    both(name, headers) {
      const it = described(name);
      const stream = new Stream();
      const calling = grpc.client(definition(it), { host: base, transport });
      calling.onMessage((message) => stream.push(it.toNew(message)));
      calling.onEnd((code, text) => stream.end(code === grpc.Code.OK ? undefined : new CallError(code, text)));
      calling.start(metadata(headers));
      stream.send = (init) => calling.send(it.toOld(init));
      stream.finish = () => calling.finishSend();
      stream.cancel = () => calling.close();
      return stream;
    },
  };
}

export const CLIENTS = {
  "connect": (base) => connect(base),
  "grpc-web-text": (base) => grpcWeb(base, "text"),
  "grpc-web-binary": (base) => grpcWeb(base, "binary"),
  "improbable-fetch": (base) => improbable(base, grpc.FetchReadableStreamTransport({})),
  "improbable-xhr": (base) => improbable(base, grpc.XhrTransport({})),
  "improbable-websocket": (base) => improbable(base, grpc.WebsocketTransport(), true),
};
