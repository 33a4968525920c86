"""Certificates of the listeners: a configured one, or, for clients on loopback, one generated per installation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from rmqgateway.config_sources import ConfigurationError

if TYPE_CHECKING:
    import ssl

    from rmqgateway.config_sections import TLSSettings

__all__ = ["Certificates"]

#: What the core's HTTP server answers to ALPN, best first.
PROTOCOLS = ("h2", "http/1.1")

_log = Logger(namespace="rmqgateway.tls")


class Certificates:
    """Gives a TLS context for a connection, or None; everything about TLS is imported on first use.

    :param directory: where the generated certificate and its key lie.
    """

    def __init__(self, settings: TLSSettings, directory: str) -> None:
        self._settings = settings
        self._directory = directory
        self._context: Any = None
        self._failed = False

    @property
    def required(self) -> bool:
        """Whether connections without TLS are closed."""
        return self._settings.mode == "required"

    @property
    def is_generated(self) -> bool:
        """Whether no certificate is configured, so that clients on loopback get the generated one."""
        return self._settings.mode != "off" and not self._settings.certificate

    @property
    def certificate_path(self) -> str:
        """The PEM file that clients may trust."""
        return self._settings.certificate or os.path.join(self._directory, "certificate.pem")

    @property
    def key_path(self) -> str:
        """The PEM file with the key."""
        if self._settings.certificate:
            return self._settings.private_key or self._settings.certificate
        return os.path.join(self._directory, "private_key.pem")

    def offered(self, on_loopback: bool) -> bool:
        """Whether a connection gets TLS if it begins so."""
        if self._failed or self._settings.mode == "off":
            return False
        return bool(self._settings.certificate) or on_loopback

    def check(self) -> None:
        """Load a configured certificate now. :raise ConfigurationError: it cannot be used."""
        if self._settings.mode == "required" and not self._settings.certificate:
            raise ConfigurationError("tls.mode: required needs a certificate; set tls.certificate")
        if self._settings.certificate and self._settings.mode != "off":
            try:
                self.context()
            except Exception as error:
                raise ConfigurationError(
                    f"tls.certificate: {self.certificate_path} with the key in {self.key_path} cannot be used: "
                    f"{_reason(error)}"
                ) from error

    def ensure(self) -> None:
        """Generate the installation's certificate if it is missing or unusable. Failing is logged: only TLS is gone."""
        if not self.is_generated:
            return
        try:
            if not self._usable():
                generate(self.certificate_path, self.key_path)
                _log.info("made a certificate for clients on loopback: {path}", path=self.certificate_path)
        except OSError as error:
            self._failed = True
            _log.error("no TLS: the certificate cannot be made: {error}", error=error)

    def _usable(self) -> bool:
        return os.path.exists(self.certificate_path) and os.path.exists(self.key_path)

    def context(self) -> Any:
        """The factory of TLS contexts that ``startTLS`` takes. :raise Exception: the files are unusable."""
        if self._context is None:
            self.ensure()
            try:
                self._context = self._load()
            except Exception:
                if not self.is_generated:
                    raise
                _log.warn(
                    "the certificate {path} cannot be used; another is made", path=self.certificate_path
                )
                generate(self.certificate_path, self.key_path)
                self._context = self._load()
        return self._context

    def _load(self) -> ssl.SSLContext:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for path, what in ((self.certificate_path, "certificate"), (self.key_path, "private key")):
            with open(path, encoding="ascii", errors="replace") as file:
                if f"{what.upper()}-----" not in file.read():
                    raise ValueError(f"{path} holds no {what}")
        try:
            # Without a password here OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.certificate_path, self.key_path, password=_no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError("the key does not belong to the certificate") from error
            raise
        context.minimum_version = getattr(
            ssl.TLSVersion, "TLSv" + self._settings.minimum_version.replace(".", "_")
        )
        context.options |= ssl.OP_NO_RENEGOTIATION
        # A client whose protocols are all unknown to us is served as one that offers none: a Remoting client over TLS may
        # offer whatever it likes.
        context.set_alpn_protocols(PROTOCOLS)
        return context


def _no_password() -> str:
    raise ValueError("the private key needs a password; give one without")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = str(error)
    if isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def generate(certificate_path: str, key_path: str) -> None:
    """Write a self-signed certificate for loopback (P-256, ten years) and its key, readable by nobody else.

    :raise OSError: the files cannot be written.
    """
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rmqgateway on loopback")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # No authority: rustls and Firefox refuse one as a server's own certificate, and the rest trust a leaf as well.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    os.makedirs(os.path.dirname(certificate_path), mode=0o700, exist_ok=True)
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key_path, private, 0o600)
    _write(certificate_path, certificate.public_bytes(encoding), 0o644)


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fsync(descriptor)
    os.rename(path + ".new", path)
