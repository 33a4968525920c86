// gRPC-web's published interop cases (grpc/grpc-web, doc/interop-test-descriptions.md) by its JavaScript client, in one of
// its two modes. `cases.js PORT text|binary` prints one JSON object per case: name and error, which is null if it passed.
// The client cannot compress: those four cases speak the protocol themselves.
"use strict";
const assert = require("assert");
const http = require("http");
const zlib = require("zlib");
globalThis.XMLHttpRequest = require("xhr2");
const web = require("grpc-web");
const protobuf = require("protobufjs");

const [port, mode] = process.argv.slice(2);
const host = `http://127.0.0.1:${port}`;
const text = mode === "text";
const types = protobuf.parse(`syntax = "proto3"; package grpc.testing;
message Empty {}
message BoolValue { bool value = 1; }
message Payload { int32 type = 1; bytes body = 2; }
message EchoStatus { int32 code = 1; string message = 2; }
message SimpleRequest { int32 response_size = 2; Payload payload = 3; BoolValue response_compressed = 6;
  EchoStatus response_status = 7; BoolValue expect_compressed = 8; }
message SimpleResponse { Payload payload = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; BoolValue compressed = 3; }
message StreamingOutputCallRequest { repeated ResponseParameters response_parameters = 2; Payload payload = 3; }
message StreamingOutputCallResponse { Payload payload = 1; }`, { keepCase: true }).root;
const type = (name) => types.lookupType(`grpc.testing.${name}`);
const client = new web.GrpcWebClientBase({ format: mode });
const SIZE = 314159, REQUEST_SIZE = 271828;

function descriptor(path, kind, request, response) {
  const takes = type(request), gives = type(response);
  return new web.MethodDescriptor(path, kind, Object, Object,
    (value) => takes.encode(takes.fromObject(value)).finish(), (data) => gives.decode(data));
}

function unary(method, request, response, value, metadata = {}, service = "TestService") {
  const path = `/grpc.testing.${service}/${method}`;
  return new Promise((resolve) => {
    const seen = { error: null, value: null, metadata: null, status: null };
    const call = client.rpcCall(host + path, value, metadata, descriptor(path, web.MethodType.UNARY, request, response),
      (error, answer) => {
        Object.assign(seen, { error, value: answer });
        setTimeout(() => resolve(seen), 50); // metadata and status are told apart from the answer
      });
    call.on("metadata", (metadata) => { seen.metadata = metadata; });
    call.on("status", (status) => { seen.status = status; });
  });
}

function streamed(sizes) {
  const path = "/grpc.testing.TestService/StreamingOutputCall";
  const value = { response_parameters: sizes.map((size, index) => ({ size, interval_us: index * 10 })) };
  return new Promise((resolve, reject) => {
    const got = [];
    const stream = client.serverStreaming(host + path, value, {},
      descriptor(path, web.MethodType.SERVER_STREAMING, "StreamingOutputCallRequest", "StreamingOutputCallResponse"));
    stream.on("data", (message) => got.push(message.payload.body.length));
    stream.on("error", reject);
    stream.on("end", () => resolve(got));
  });
}

const big = () => ({ response_size: SIZE, payload: { body: Buffer.alloc(REQUEST_SIZE) } });

// One call by hand. Frames come back as {flag, data}, the status out of the trailers' one.
function raw(method, name, value, compressed) {
  const takes = type(name);
  let message = Buffer.from(takes.encode(takes.fromObject(value)).finish());
  if (compressed) message = zlib.gzipSync(message);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(compressed ? 1 : 0, 0);
  prefix.writeUInt32BE(message.length, 1);
  let body = Buffer.concat([prefix, message]);
  if (text) body = Buffer.from(body.toString("base64"));
  const headers = {
    "content-type": text ? "application/grpc-web-text" : "application/grpc-web+proto", "x-grpc-web": "1",
    "grpc-accept-encoding": "gzip", ...(compressed ? { "grpc-encoding": "gzip" } : {}),
  };
  return new Promise((resolve, reject) => {
    const request = http.request(`${host}/grpc.testing.TestService/${method}`, { method: "POST", headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        let data = Buffer.concat(parts);
        // Each frame, or several, is padded on its own.
        if (text) data = Buffer.concat((data.toString().match(/[^=]+=*/g) || []).map((one) => Buffer.from(one, "base64")));
        const frames = [];
        while (data.length) {
          const end = 5 + data.readUInt32BE(1);
          frames.push({ flag: data[0], data: data.subarray(5, end) });
          data = data.subarray(end);
        }
        const trailers = frames.pop();
        assert.equal(trailers.flag & 0x80, 0x80);
        const status = Number(/grpc-status:\s*(\d+)/.exec(trailers.data.toString())[1]);
        resolve({ encoding: response.headers["grpc-encoding"], frames, status });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

function bodyOf(answer, index, name) {
  const { flag, data } = answer.frames[index];
  if (flag & 1) assert.equal(answer.encoding, "gzip");
  return type(name).decode(flag & 1 ? zlib.gunzipSync(data) : data).payload.body.length;
}

const cases = {
  async empty_unary() {
    const { error, value } = await unary("EmptyCall", "Empty", "Empty", {});
    assert.ifError(error);
    assert(value instanceof type("Empty").ctor);
  },
  async large_unary() {
    const { error, value } = await unary("UnaryCall", "SimpleRequest", "SimpleResponse", big());
    assert.ifError(error);
    assert.equal(value.payload.body.length, SIZE);
  },
  async client_compressed_unary() {
    const call = (expected, compressed) =>
      raw("UnaryCall", "SimpleRequest", { ...big(), expect_compressed: { value: expected } }, compressed);
    assert.equal((await call(true, false)).status, 3);
    for (const compressed of [true, false]) {
      const answer = await call(compressed, compressed);
      assert.equal(answer.status, 0);
      assert.equal(bodyOf(answer, 0, "SimpleResponse"), SIZE);
    }
  },
  async server_compressed_unary() {
    for (const compressed of [true, false]) {
      const value = { ...big(), response_compressed: { value: compressed } };
      const answer = await raw("UnaryCall", "SimpleRequest", value, false);
      assert.equal(answer.status, 0);
      assert.equal(answer.frames[0].flag, compressed ? 1 : 0);
      assert.equal(bodyOf(answer, 0, "SimpleResponse"), SIZE);
    }
  },
  async server_streaming() {
    const sizes = [31415, 9, 2653, 58979];
    assert.deepEqual(await streamed(sizes), sizes);
  },
  async server_compressed_streaming() {
    const value = { response_parameters: [
      { size: 31415, compressed: { value: true } }, { size: 92653, compressed: { value: false } }] };
    const answer = await raw("StreamingOutputCall", "StreamingOutputCallRequest", value, false);
    assert.equal(answer.status, 0);
    assert.deepEqual(answer.frames.map((frame) => frame.flag), [1, 0]);
    assert.deepEqual([0, 1].map((index) => bodyOf(answer, index, "StreamingOutputCallResponse")), [31415, 92653]);
  },
  async custom_metadata() {
    const initial = "x-grpc-test-echo-initial", trailing = "x-grpc-test-echo-trailing-bin";
    const { error, value, metadata, status } = await unary("UnaryCall", "SimpleRequest", "SimpleResponse", big(),
      { [initial]: "test_initial_metadata_value", [trailing]: 0xababab });
    assert.ifError(error);
    assert.equal(value.payload.body.length, SIZE);
    assert.equal(metadata[initial], "test_initial_metadata_value");
    assert.equal(status.metadata[trailing], 0xababab);
  },
  async status_code_and_message() {
    const { error } = await unary("UnaryCall", "SimpleRequest", "SimpleResponse",
      { response_status: { code: 2, message: "test status message" } });
    assert.equal(error.code, 2);
    assert.equal(error.message, "test status message");
  },
  async special_status_message() {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n";
    const { error } = await unary("UnaryCall", "SimpleRequest", "SimpleResponse", { response_status: { code: 2, message } });
    assert.equal(error.code, 2);
    assert.equal(decodeURIComponent(error.message), message);
  },
  async unimplemented_method() {
    assert.equal((await unary("UnimplementedCall", "Empty", "Empty", {})).error.code, 12);
  },
  async unimplemented_service() {
    assert.equal((await unary("UnimplementedCall", "Empty", "Empty", {}, {}, "UnimplementedService")).error.code, 12);
  },
};
const TEXT_ONLY = new Set(["server_streaming", "server_compressed_streaming"]);

async function main() {
  for (const [name, run] of Object.entries(cases)) {
    if (!text && TEXT_ONLY.has(name)) continue;
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("took longer than 10 s")), 10000); });
    const error = await Promise.race([run(), late]).then(() => null, (error) => String((error && error.stack) || error));
    clearTimeout(timer);
    console.log(JSON.stringify({ name, error }));
  }
  process.exit(0);
}
main();
