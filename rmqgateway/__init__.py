"""rmqgateway: many protocols in front of Apache RocketMQ, or of the broker embedded in it.

A *front-end* turns wire bytes into *commands* and replies into wire bytes; nothing else in it knows RocketMQ. It is a
plugin: found by name (`loader`), made of strings until it is enabled (`frontend`), and of one of three kinds, by what it
owns: a connection, HTTP requests, WebSocket sub-protocols (`interfaces`).

A *listener* (`listeners`) is an endpoint and the front-ends that it serves: the first bytes of a connection decide
(`recognition`), TLS included; then the front-end's protocol has the transport to itself.

The *gateway* (`gateway`) is the one door: who asks (`context`, `session`), may they, is there room (`governance`), how
long did it take (`telemetry`): written once, on commands (`commands`), for every protocol.

A *backend* (`backend`) executes commands: `backend.local` is a broker and name server in this process over a durable store
(`backend.store`); a cluster of real brokers is another. It pushes *events* (`events`) to a client's session.

Formats that more than one party speaks are in `wire`: bytes in, events out, no clock, no sockets. Replies leave as one
write per connection and turn (`outbox`). What may be set is said by structs with defaults (`config`); the process starts
and stops in a stated order (`services`), wired by ``rmqgateway_tap``, which is what ``twistd rmqgateway`` runs.
"""

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
