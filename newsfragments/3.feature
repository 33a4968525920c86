`twistd rmqgateway` (or `make run`) serves official RocketMQ Remoting clients (Java 4.9 and 5.x, Go) and `mqadmin` from one process with an embedded broker and name server, no Java.
