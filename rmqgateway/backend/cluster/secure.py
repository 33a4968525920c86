"""TLS to brokers and name servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmqgateway.session import split_host

if TYPE_CHECKING:
    from rmqgateway.backend.cluster.settings import ClusterSettings

__all__ = ["Secure"]


class Secure:
    """Begins TLS on a connection, where the settings say so; everything about TLS is imported on first use."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._trusted: Any = None

    def __call__(self, transport: Any, address: str) -> None:
        """:param address: "host:port", whose host the certificate must name.

        :raise Exception: the authorities' file cannot be used.
        """
        settings = self._settings
        if settings.tls == "off":
            return
        from twisted.internet import ssl

        if settings.tls == "unverified":
            transport.startTLS(ssl.CertificateOptions())
            return
        if self._trusted is None and settings.tls_ca:
            with open(settings.tls_ca, "rb") as file:
                pem = file.read()
            end = b"-----END CERTIFICATE-----"
            self._trusted = ssl.trustRootFromCertificates(
                [ssl.Certificate.loadPEM(part + end) for part in pem.split(end)[:-1] if part.strip()]
            )
        transport.startTLS(ssl.optionsForClientTLS(split_host(address)[0], trustRoot=self._trusted))
