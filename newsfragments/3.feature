`twistd rmqgateway` (or `make run`) serves official RocketMQ Remoting clients and `mqadmin` from one process with an embedded, durable broker and name server.
