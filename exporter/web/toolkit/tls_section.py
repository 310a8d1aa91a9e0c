"""The section `tls_server_config`, and the files that it names."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from exporter.config import nodes
from exporter.config.file_reader import Entry, FileReader, is_given
from exporter.config.kinds import Choice, Flag
from exporter.credentials import FileVersion, file_version
from exporter.web.toolkit import tls
from exporter.web.toolkit.kinds import CipherSuite, PlainText, SupportedChoice

SECTION = "tls_server_config"

KEYS = (
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_ca",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
TURNS_TLS_ON = KEYS[:7]

CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    # Asks for a certificate but does not verify it, so no client is refused either way.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED = (
    "Python takes no certificate that it cannot verify;"
    " use RequireAndVerifyClientCert with client_ca_file"
)
_RETIRED = "RFC 8996 retired it, and OpenSSL refuses it; expected TLS12 or TLS13"
_CLIENT_AUTH = SupportedChoice(
    Choice(tuple(CLIENT_AUTH)),
    dict.fromkeys(("RequireAnyClientCert", "RequireClientCert"), _UNVERIFIED),
)
_TLS_VERSION = SupportedChoice(
    Choice(tuple(tls.VERSIONS)), dict.fromkeys(("TLS10", "TLS11"), _RETIRED)
)

LARGEST_PEM = 2**20


@dataclass(frozen=True, slots=True)
class _Pem:
    """The value of the key, or what the file that it names holds."""

    key: str
    data: bytes = field(repr=False)


class TlsSection:
    """Reads the section into a context that is ready to serve."""

    def __init__(
        self, reader: FileReader, sections: Mapping[str, Entry], versions: dict[Path, FileVersion]
    ) -> None:
        """`versions` gets those of the files that the section names."""
        self._reader = reader
        self._sections = sections
        self._given = reader.section(sections, SECTION) or {}
        self._versions = versions

    def context(self) -> ssl.SSLContext | None:
        """The context; None where TLS is not configured or the section has faults."""
        self._reader.unknown(self._given, KEYS, SECTION)
        certificate, key, client_ca = (self._pem(name) for name in ("cert", "key", "client_ca"))
        verify = self._client_auth(client_ca)
        allowed = self._allowed_sans(verify)
        least, most = self._versions_of_tls()
        ciphers = self._reader.items(CipherSuite(), self._given, "cipher_suites", SECTION)
        curve = self._curve()
        prefer = self._reader.value(
            Flag(letters=True), self._given, "prefer_server_cipher_suites", SECTION
        )
        wanted = [name for name in TURNS_TLS_ON if self._says(name)]
        if not wanted:
            if any(is_given(self._given, name) for name in self._given):
                node = self._sections[SECTION].key
                text = "without cert_file and key_file there is no TLS"
                self._reader.warnings.add(node, SECTION, text)
            return None
        for name, pem in (("cert", certificate), ("key", key)):
            if not self._says(name) and not self._says(f"{name}_file"):
                text = f"missing, as is {name}; {wanted[0]} asks for TLS"
                self._fault(f"{name}_file", text, self._given[wanted[0]].key)
            elif pem is not None:
                self._check(pem, "certificate" if name == "cert" else "private key")
        if certificate is None or key is None or self._reader.faults:
            return None
        return self._context(
            certificate,
            key,
            tls.TlsSettings(
                certificate=certificate.data,
                key=key.data,
                client_ca=None if client_ca is None else client_ca.data,
                verify=ssl.CERT_NONE if verify is None else verify,
                allowed_sans=frozenset(allowed),
                min_version=least,
                max_version=most,
                ciphers=ciphers or (),
                prefer_server_ciphers=prefer is not False,
                curve=curve,
            ),
        )

    def _fault(self, key: str, text: str, node: yaml.Node | None = None) -> None:
        """Note a fault, at the value of the key unless a node is given."""
        self._reader.faults.add(node or self._given[key].value, f"{SECTION}.{key}", text)

    def _says(self, key: str) -> bool:
        """Whether a key has a value, right or wrong, other than the empty text."""
        if not is_given(self._given, key):
            return False
        node = self._given[key].value
        return not isinstance(node, yaml.ScalarNode) or nodes.scalar(node) != ""

    def _context(
        self, certificate: _Pem, key: _Pem, settings: tls.TlsSettings
    ) -> ssl.SSLContext | None:
        try:
            return tls.server_context(settings)
        except ssl.SSLError as error:
            reason = error.reason or ""
            if reason.startswith(("EE_", "CA_")):
                words = reason.lower().replace("_", " ")
                self._fault(certificate.key, f"OpenSSL refuses it: {words}")
            elif reason == "KEY_VALUES_MISMATCH":
                self._fault(key.key, f"does not belong to {SECTION}.{certificate.key}")
            else:
                self._fault(key.key, "holds a broken private key")
        return None

    def _pem(self, name: str) -> _Pem | None:
        """The value of `name`, or what is in the file that `name`_file names."""
        file_key = f"{name}_file"
        inline = self._reader.value(PlainText(), self._given, name, SECTION)
        file = self._reader.value(PlainText(), self._given, file_key, SECTION)
        if inline and file:
            text = f"{name} is given, too; only one of them can hold"
            self._fault(file_key, text, self._given[file_key].key)
            return None
        if inline:
            return _Pem(name, inline.encode())
        if not file:
            return None
        if "\n" in file or "-----" in file:
            self._fault(file_key, f"expected a path; text itself goes into {name}")
            return None
        path = self._reader.path.parent / file
        self._versions[path] = file_version(path)
        try:
            with path.open("rb") as opened:
                data = opened.read(LARGEST_PEM + 1)
        except OSError as error:
            self._fault(file_key, f"{path}: {error.strerror or 'cannot be read'}")
        except ValueError:
            self._fault(file_key, f"{str(path)!r}: not a path")
        else:
            if len(data) <= LARGEST_PEM:
                return _Pem(file_key, data)
            self._fault(file_key, f"{path}: larger than {LARGEST_PEM // 2**20} MiB")
        return None

    def _check(self, pem: _Pem, what: str) -> None:
        """Note what OpenSSL would not report, or not with the name of the file."""
        if f"{what.upper()}-----".encode() not in pem.data:
            self._fault(pem.key, f"holds no {what} in PEM form")
        elif what == "certificate":
            try:
                tls.check_certificates(pem.data)
            except ssl.SSLError:
                self._fault(pem.key, "holds a broken certificate")
        elif b"ENCRYPTED" in pem.data:
            self._fault(pem.key, "is encrypted; the key has to be without a password")

    def _client_auth(self, client_ca: _Pem | None) -> ssl.VerifyMode | None:
        """How clients are verified; None where that is at fault."""
        key = "client_auth_type"
        kind: str | None = "NoClientCert"
        if self._says(key):
            kind = self._reader.value(_CLIENT_AUTH, self._given, key, SECTION)
        if kind is None:
            return None
        if client_ca is not None:
            if kind == "NoClientCert":
                text = "needs a client_auth_type: RequireAndVerifyClientCert"
                self._fault(client_ca.key, text)
            else:
                self._check(client_ca, "certificate")
        return CLIENT_AUTH[kind]

    def _allowed_sans(self, verify: ssl.VerifyMode | None) -> tuple[str, ...]:
        key = "client_allowed_sans"
        allowed = self._reader.items(PlainText(), self._given, key, SECTION)
        if allowed is None:
            return ()
        if not self._given[key].value.value:
            self._fault(key, "an empty list lets nobody in")
        if verify is not None and verify is not ssl.CERT_REQUIRED:
            self._fault(key, "needs client_auth_type: RequireAndVerifyClientCert")
        return allowed

    def _versions_of_tls(self) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
        least, most = (
            tls.VERSIONS[self._reader.value(_TLS_VERSION, self._given, key, SECTION) or default]
            for key, default in (("min_version", "TLS12"), ("max_version", "TLS13"))
        )
        if least > most:
            self._fault("max_version", "is below min_version")
        return least, most

    def _curve(self) -> str | None:
        key = "curve_preferences"
        names = self._reader.items(Choice(tuple(tls.CURVES)), self._given, key, SECTION) or ()
        if len(names) > 1:
            text = "Python can set one curve, not several; name one, or leave the key out"
            self._fault(key, text)
        return tls.CURVES[names[0]] if names else None
