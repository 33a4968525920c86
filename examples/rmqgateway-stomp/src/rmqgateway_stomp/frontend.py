"""The front-end object: settings, which connections are STOMP's, one protocol for each."""

from zope.interface import implementer

from rmqgateway.frontend import ConnectionInformation, Recognition
from rmqgateway.interfaces import IConnectionFrontEnd, IGateway
from rmqgateway_stomp.protocol import StompProtocol, StompSettings


@implementer(IConnectionFrontEnd)
class StompFrontEnd:
    name = "stomp"
    settings = StompSettings
    recognition_order = 60
    web_socket_protocols = ("v12.stomp",)

    def configure(self, settings: StompSettings) -> None:
        self._settings = settings

    def recognise(self, first_bytes: bytes) -> Recognition:
        first = first_bytes.replace(b"\r", b"").lstrip(b"\n")
        for line in (b"CONNECT\n", b"STOMP\n"):  # HTTP's CONNECT is followed by a space
            if first.startswith(line):
                return Recognition.YES
            if line.startswith(first):
                return Recognition.MORE
        return Recognition.NO

    def make_protocol(self, gateway: IGateway, connection: ConnectionInformation) -> StompProtocol:
        return StompProtocol(gateway, connection, self._settings)
