"""TLS contexts that can change while the server runs, and OpenSSL's names for those in the file."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

CIPHER_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
}
"""Suites up to TLS 1.2: the file's names, which are Go's, and OpenSSL's."""

TLS13_CIPHER_SUITES = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)

CURVES = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to serve TLS. `certificate`, `key` and `client_ca` are PEM.

    With `verify` and without `client_ca`, clients are verified by the system's authorities.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    verify: ssl.VerifyMode = ssl.CERT_NONE
    allowed_sans: frozenset[str] = frozenset()
    min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    max_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()
    prefer_server_ciphers: bool = True
    curve: str | None = None


class _NameCheckingConnection(ssl.SSLObject):
    """Fails the handshake with a client whose certificate has no allowed name."""

    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        allowed = context.allowed_sans if isinstance(context, ServerContext) else frozenset()
        if allowed and not allowed & (names := alternative_names(self.getpeercert())):
            found = ", ".join(sorted(names)) or "none"
            log.info("client refused: no allowed name in its certificate; found %s", found)
            raise ssl.SSLCertVerificationError("no allowed name in the client's certificate")


class ServerContext(ssl.SSLContext):
    """A server's TLS context, made from one reading of the file."""

    allowed_sans: frozenset[str] = frozenset()
    sslobject_class = _NameCheckingConnection


class LiveContext(ssl.SSLContext):
    """Passes each handshake on to the newest context.

    A server keeps the context that it was started with. Changing that context in place is no
    alternative: an authority cannot be removed from it, and loading a key that does not belong to
    the certificate would leave it without a key.
    """

    newest: Callable[[], ssl.SSLContext]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self.newest().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def live(newest: Callable[[], ssl.SSLContext]) -> LiveContext:
    context = LiveContext(ssl.PROTOCOL_TLS_SERVER)
    context.newest = newest
    return context


def server_context(settings: TlsSettings) -> ServerContext:
    """Raises ssl.SSLError when OpenSSL refuses the certificate, the key or the authorities."""
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.min_version
    context.maximum_version = settings.max_version
    context.options |= ssl.OP_NO_RENEGOTIATION
    if settings.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)
    # Tells clients that offer HTTP/2, as Prometheus does, to use HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = settings.verify
    # As in Go, an intermediate authority in the file is trusted without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if settings.client_ca is not None:
        check_certificates(settings.client_ca, context)
    elif settings.verify is not ssl.CERT_NONE:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    context.allowed_sans = settings.allowed_sans
    with _as_file(settings.certificate) as certificate, _as_file(settings.key) as key:
        # Otherwise OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    return context


def check_certificates(pem: bytes, context: ssl.SSLContext | None = None) -> None:
    """Trust the certificates in `pem`; ssl.SSLError when there is none, or one that is broken."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Comments between certificates may be in any language.
    context.load_verify_locations(cadata=pem.decode("ascii", "replace").replace("\ufffd", "?"))


def alternative_names(certificate: object) -> frozenset[str]:
    """DNS names, IP and e-mail addresses and URIs from what `getpeercert` returns."""
    if not isinstance(certificate, dict):
        return frozenset()
    return frozenset(
        _address(value) if kind == "IP Address" else value
        for kind, value in certificate.get("subjectAltName", ())
        if kind in ("DNS", "IP Address", "email", "URI")
    )


def _address(text: str) -> str:
    """An address as it is usually written: OpenSSL writes IPv6 in full."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """The path of a temporary file: the ssl module loads certificates and keys only from files.

    So the bytes that are loaded are those that were checked, even if the original file has changed
    since. On Linux the file is in memory only, so that an inline key is not written to a disk.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("pem")
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(pem)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryDirectory() as folder:  # only its owner may look inside
            path = Path(folder) / "pem"
            path.write_bytes(pem)
            yield str(path)
