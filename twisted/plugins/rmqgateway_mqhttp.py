"""The MQ HTTP front-end."""

from rmqgateway.frontend import FrontEndMaker

mqhttp = FrontEndMaker(
    "mqhttp",
    "The MQ HTTP wire: the free SDKs mq-http-sdk for Java, Go, Python, Node and others.",
    "rmqgateway_mqhttp.frontend",
    enabled_by_default=True,
)
