"""The front-end object: its settings, which connections are STOMP's, one protocol for each."""

from rmqgateway.frontend import ConnectionFrontEnd
from rmqgateway_stomp.protocol import StompProtocol, StompSettings


class StompFrontEnd(ConnectionFrontEnd):
    name = "stomp"
    settings = StompSettings
    protocol = StompProtocol
    beginnings = (b"CONNECT\n", b"CONNECT\r\n", b"STOMP\n", b"STOMP\r\n")  # HTTP's CONNECT has a space
    web_socket_protocols = ("v12.stomp",)
