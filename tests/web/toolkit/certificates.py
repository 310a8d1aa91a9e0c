"""Certificates and keys, made for each run: none is kept."""

import json
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def write(folder: Path, *, ca: trustme.CA) -> None:
    """Every file that the corpus names."""
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    certificate = leaf.cert_chain_pems[0].bytes()
    key = leaf.private_key_pem.bytes()
    files = {
        "cert.pem": certificate,
        "key.pem": key,
        "both.pem": certificate + key,
        "ca.pem": ca.cert_pem.bytes(),
        "other-key.pem": ca.issue_cert("localhost").private_key_pem.bytes(),
        "encrypted-key.pem": _encrypted(key),
        "broken.pem": b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n",
        "broken-key.pem": b"-----BEGIN PRIVATE KEY-----\nbm90IG9uZQ==\n-----END PRIVATE KEY-----\n",
        "weak.pem": _weak(ca),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


def filled(text: str, folder: Path) -> str:
    """A file of the corpus, with the PEM in place of `"<name.pem>"`."""
    for path in folder.glob("*.pem"):
        text = text.replace(f'"<{path.name}>"', json.dumps(path.read_text()))
    return text


def _encrypted(key: bytes) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )


def _weak(ca: trustme.CA) -> bytes:
    """Of 1024 bits: Go's TLS serves it, OpenSSL's does not."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    known = x509.load_pem_x509_certificate(ca.issue_cert("localhost").cert_chain_pems[0].bytes())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(known.not_valid_before_utc)
        .not_valid_after(known.not_valid_after_utc)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
