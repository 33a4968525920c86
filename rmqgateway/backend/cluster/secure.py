"""TLS to brokers and name servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.config_sources import ConfigurationError
from rmqgateway.session import split_host

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocol

    from rmqgateway.backend.cluster.settings import ClusterSettings

__all__ = ["Secure"]

log = Logger(namespace="rmqgateway.cluster")


class Secure:
    """Begins TLS on a connection, where the settings say so.

    :raise ConfigurationError: the authorities' file cannot be used.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self._context: Any = None
        if settings.tls == "off":
            return
        import ssl

        try:
            self._context = ssl.create_default_context(cafile=settings.tls_ca or None)
        except OSError as error:  # as ssl.SSLError is
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigurationError(f"cluster.tls_ca: {settings.tls_ca} cannot be used: {reason}") from error
        if settings.tls == "unverified":
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    def __call__(self, transport: Any, protocol: IProtocol, address: str) -> Any:
        """:param address: "host:port", whose host the certificate must name.
        :return: the transport that the protocol is to write to; closed, if no certificate can name the host.
        """
        if self._context is None:
            return transport
        from rmqgateway.tls import TLSTransport

        try:
            secure = TLSTransport(self._context, transport, protocol, split_host(address)[0])
        except ValueError as error:
            log.error("TLS with {address} cannot begin: {error}", address=address, error=str(error))
            transport.abortConnection()
            return transport
        transport.protocol = secure
        secure.begin()
        return secure
