"""``twistd rmqgateway``."""

from twisted.application.service import ServiceMaker

rmqgateway = ServiceMaker(
    "rmqgateway",
    "rmqgateway_tap",
    "A gateway and embedded broker for Apache RocketMQ clients.",
    "rmqgateway",
)
