RocketMQ over plain HTTP for curl and scripts (REST, Server-Sent Events, JSON lines, CloudEvents, `/openapi.json`), over WebSocket for browsers, and for the `mq-http-sdk` libraries.
