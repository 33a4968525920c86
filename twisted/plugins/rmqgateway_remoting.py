"""The Remoting front-end."""

from rmqgateway.frontend import FrontEndMaker

remoting = FrontEndMaker(
    "remoting",
    "RocketMQ's own Remoting protocol: Java and Go clients, mqadmin.",
    "rmqgateway_remoting.frontend",
    enabled_by_default=True,
)
