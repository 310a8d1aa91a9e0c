"""The section `tls_server_config`, and the files that it names."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import yaml

from exporter.config import nodes
from exporter.config.kinds import nearest
from exporter.web.toolkit import tls
from exporter.web.toolkit.values import Entries, Values, is_null, version

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
    # Such a certificate is asked for, but not looked at: nobody is turned away either way.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED = ("RequireAnyClientCert", "RequireClientCert")

LARGEST_PEM = 2**20


@dataclass(frozen=True, slots=True)
class _Pem:
    key: str
    node: yaml.Node
    data: bytes = field(repr=False)


class TlsSection:
    """Reads the section into a context that is ready to serve."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def context(self, sections: Entries) -> ssl.SSLContext | None:
        """What the section asks for; None where that is no TLS, or at fault."""
        where = "tls_server_config"
        given = self._values.section(sections, where)
        self._values.known(given, KEYS, where)
        certificate = self._pem(given, "cert")
        key = self._pem(given, "key")
        client_ca = self._pem(given, "client_ca")
        verify = self._client_auth(given, client_ca)
        allowed = self._values.words(given, "client_allowed_sans", where)
        if allowed is not None:
            node = given["client_allowed_sans"].value
            if not allowed:
                self._values.fault(
                    node, f"{where}.client_allowed_sans", "an empty list lets nobody in"
                )
            if verify is not None and verify is not ssl.CERT_REQUIRED:
                text = "needs client_auth_type: RequireAndVerifyClientCert"
                self._values.fault(node, f"{where}.client_allowed_sans", text)
        least, most = self._versions_of_tls(given)
        ciphers = self._ciphers(given)
        curve = self._curve(given)
        prefer = self._values.flag(given, "prefer_server_cipher_suites", where, True)
        wanted = [name for name in TURNS_TLS_ON if self._values.says(given, name)]
        if not wanted:
            if any(not is_null(entry.value) for entry in given.values()):
                self._values.warnings.add(
                    sections[where].key, where, "without cert_file and key_file there is no TLS"
                )
            return None
        for name, pem in (("cert", certificate), ("key", key)):
            if not self._values.says(given, name) and not self._values.says(given, f"{name}_file"):
                text = f"missing, as is {name}; {wanted[0]} asks for TLS"
                self._values.fault(given[wanted[0]].key, f"{where}.{name}_file", text)
            elif pem is not None:
                self._check(pem, "CERTIFICATE-----" if name == "cert" else "PRIVATE KEY-----")
        if certificate is None or key is None or len(self._values.faults):
            return None
        return self._context(
            certificate,
            key,
            tls.TlsSettings(
                certificate=certificate.data,
                key=key.data,
                client_ca=None if client_ca is None else client_ca.data,
                verify=ssl.CERT_NONE if verify is None else verify,
                allowed_sans=frozenset(allowed or ()),
                min_version=least,
                max_version=most,
                ciphers=ciphers,
                prefer_server_ciphers=prefer,
                curve=curve,
            ),
        )

    def _context(
        self, certificate: _Pem, key: _Pem, settings: tls.TlsSettings
    ) -> ssl.SSLContext | None:
        try:
            return tls.server_context(settings)
        except ssl.SSLError as error:
            reason = error.reason or ""
            if reason.startswith(("EE_", "CA_")):
                text = f"OpenSSL refuses it: {reason.lower().replace('_', ' ')}"
                self._values.fault(certificate.node, certificate.key, text)
            elif reason == "KEY_VALUES_MISMATCH":
                self._values.fault(key.node, key.key, f"does not belong to {certificate.key}")
            else:
                self._values.fault(key.node, key.key, "holds a broken private key")
        return None

    def _pem(self, given: Entries, name: str) -> _Pem | None:
        """The value of `name`, or what is in the file that `name`_file names."""
        where = "tls_server_config"
        key, file_key = f"{where}.{name}", f"{where}.{name}_file"
        inline = self._values.text(given, name, where)
        file = self._values.text(given, f"{name}_file", where)
        if inline and file:
            text = f"{name} is given, too; only one of them can hold"
            self._values.fault(given[f"{name}_file"].key, file_key, text)
            return None
        if inline:
            return _Pem(key, given[name].value, inline.encode())
        if not file:
            return None
        node = given[f"{name}_file"].value
        if "\n" in file or "-----" in file:
            self._values.fault(node, file_key, f"expected a path; text itself goes into {name}")
            return None
        path = self._values.path.parent / file
        self._values.versions[path] = version(path)
        try:
            with path.open("rb") as opened:
                data = opened.read(LARGEST_PEM + 1)
        except OSError as error:
            self._values.fault(node, file_key, f"{path}: {error.strerror or 'cannot be read'}")
        except ValueError:
            self._values.fault(node, file_key, f"{str(path)!r}: not a path")
        else:
            if len(data) <= LARGEST_PEM:
                return _Pem(file_key, node, data)
            self._values.fault(node, file_key, f"{path}: larger than {LARGEST_PEM // 2**20} MiB")
        return None

    def _check(self, pem: _Pem, label: str) -> None:
        """Note what OpenSSL would not tell, or would not tell of which file."""
        if label.encode() not in pem.data:
            what = "certificate" if label.startswith("C") else "private key"
            self._values.fault(pem.node, pem.key, f"holds no {what} in PEM form")
        elif label.startswith("C"):
            try:
                tls.check_certificates(pem.data)
            except ssl.SSLError:
                self._values.fault(pem.node, pem.key, "holds a broken certificate")
        elif b"ENCRYPTED" in pem.data:
            self._values.fault(
                pem.node, pem.key, "is encrypted; the key has to be without a password"
            )

    def _client_auth(self, given: Entries, client_ca: _Pem | None) -> ssl.VerifyMode | None:
        where = "tls_server_config.client_auth_type"
        kind = self._values.text(given, "client_auth_type", "tls_server_config") or "NoClientCert"
        if kind in UNVERIFIED:
            text = (
                f"{kind} is not supported: Python takes no certificate that it cannot verify;"
                " use RequireAndVerifyClientCert with client_ca_file"
            )
            self._values.fault(given["client_auth_type"].value, where, text)
            return None
        if kind not in CLIENT_AUTH:
            text = f"expected one of {', '.join(CLIENT_AUTH)}"
            node = given["client_auth_type"].value
            self._values.fault(node, where, f"{text}; found {nodes.found(node)}")
            return None
        if client_ca is not None:
            if kind == "NoClientCert":
                text = "needs a client_auth_type: RequireAndVerifyClientCert"
                self._values.fault(client_ca.node, client_ca.key, text)
            else:
                self._check(client_ca, "CERTIFICATE-----")
        return CLIENT_AUTH[kind]

    def _versions_of_tls(self, given: Entries) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
        found = []
        for name, default in (("min_version", "TLS12"), ("max_version", "TLS13")):
            key = f"tls_server_config.{name}"
            value = self._values.text(given, name, "tls_server_config")
            if value in ("TLS10", "TLS11"):
                text = f"{value} is not supported: RFC 8996 retired it, and OpenSSL refuses it"
                self._values.fault(given[name].value, key, f"{text}; expected TLS12 or TLS13")
            elif value is not None and value not in tls.VERSIONS:
                text = f"expected TLS12 or TLS13; found {nodes.found(given[name].value)}"
                self._values.fault(given[name].value, key, text)
            found.append(tls.VERSIONS.get(value or "", tls.VERSIONS[default]))
        least, most = found
        if least > most:
            node = given["max_version"].value
            self._values.fault(node, "tls_server_config.max_version", "is below min_version")
        return least, most

    def _ciphers(self, given: Entries) -> tuple[str, ...]:
        key = "tls_server_config.cipher_suites"
        names = self._values.words(given, "cipher_suites", "tls_server_config") or []
        for number, name in enumerate(names):
            node = given["cipher_suites"].value.value[number]
            if name in tls.TLS13_CIPHER_SUITES:
                text = (
                    f"{name} is a suite of TLS 1.3, which Python leaves to OpenSSL:"
                    " it is on anyway, leave it out"
                )
                self._values.fault(node, f"{key}[{number}]", text)
            elif name not in tls.CIPHER_SUITES:
                text = f"unknown cipher suite{nearest(name, tls.CIPHER_SUITES)}"
                self._values.fault(node, f"{key}[{number}]", text)
        return tuple(tls.CIPHER_SUITES[name] for name in names if name in tls.CIPHER_SUITES)

    def _curve(self, given: Entries) -> str | None:
        key = "tls_server_config.curve_preferences"
        names = self._values.words(given, "curve_preferences", "tls_server_config") or []
        for number, name in enumerate(names):
            if name not in tls.CURVES:
                node = given["curve_preferences"].value.value[number]
                text = f"expected one of {', '.join(tls.CURVES)}; found {nodes.quoted(name)}"
                self._values.fault(node, f"{key}[{number}]", text)
        if len(set(names)) > 1:
            node = given["curve_preferences"].value
            text = "Python can set one curve, not several; name one, or leave the key out"
            self._values.fault(node, key, text)
        return next((tls.CURVES[name] for name in names if name in tls.CURVES), None)
