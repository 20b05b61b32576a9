"""Certificates of one cluster: an authority of its own lets in whoever it signed for, and nobody else.

Dask asks both ends of every connection for a certificate of the authority and has no other login, so the authority is
the password: one a cluster, and its key is forgotten as soon as it has signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed import Security

from cluster.settings import as_environ

Role = Literal["scheduler", "worker"]
"""Whose pod it is; the client has no pod."""
MOUNT = "/etc/groundswell/tls"
"""Where a pod sees its files."""
_SKEW = timedelta(hours=1)
"""How far behind a node's clock may be."""
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM texts."""

    cert: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """All that one cluster's members show each other."""

    ca: str
    """Certificate of the authority, as PEM text; its key is nowhere."""
    scheduler: Pair
    worker: Pair
    client: Pair

    def security(self) -> Security:
        """For the client; nothing is written to disk for longer than a connection takes to be made."""
        return security_of(self.ca, self.client.cert, self.client.key)

    def secret(self) -> dict[str, str]:
        """`stringData` of the cluster's secret: what its pods need. The client's key never leaves the client."""
        pairs = {"scheduler": self.scheduler, "worker": self.worker}
        texts = {f"{role}.{part}": text for role, pair in pairs.items() for part, text in _files(pair)}
        return {"ca.crt": self.ca, **texts}


def issue(name: str, hosts: Sequence[str] = (), days: int = 365) -> Credentials:
    """A new authority and what it signs for the scheduler, the workers and the client of one cluster.

    name: of the cluster, told in the certificates. hosts: DNS names and IP addresses of its scheduler.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"authority of {name}")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    authority = (
        _builder(subject, key.public_key(), days)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )

    def signed(role: str, uses: list[x509.ObjectIdentifier], names: Sequence[str] = ()) -> Pair:
        own = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_host(host) for host in (f"{role}.{name}.invalid", *names)])
        certificate = (
            _builder(_name(f"{role} of {name}"), own.public_key(), days)
            .issuer_name(authority.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, SHA256())
        )
        secret = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(certificate.public_bytes(Encoding.PEM).decode(), secret.decode())

    return Credentials(
        ca=authority.public_bytes(Encoding.PEM).decode(),
        # The scheduler calls its workers as they call it, and workers call each other.
        scheduler=signed("scheduler", [_SERVER, _CLIENT], hosts),
        worker=signed("worker", [_SERVER, _CLIENT]),
        client=signed("client", [_CLIENT]),
    )


def security_of(ca: str, cert: str, key: str) -> Security:
    """A client that speaks TLS only. Each is a PEM text or the path of a PEM file."""
    return Security(require_encryption=True, tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key)


def pod_environ(role: Role, folder: str = MOUNT) -> dict[str, str]:
    """Environment by which Dask in a pod speaks TLS only, with the files of its role in this folder."""
    return as_environ(
        {
            "distributed.comm.default-scheme": "tls",
            "distributed.comm.require-encryption": True,
            "distributed.comm.tls.ca-file": f"{folder}/ca.crt",
            f"distributed.comm.tls.{role}.cert": f"{folder}/{role}.crt",
            f"distributed.comm.tls.{role}.key": f"{folder}/{role}.key",
        }
    )


def secret_items(role: Role) -> tuple[str, ...]:
    """Keys of the secret that a pod of this role mounts: a worker never sees what the scheduler shows."""
    return "ca.crt", f"{role}.crt", f"{role}.key"


def _files(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("crt", pair.cert), ("key", pair.key)


def _name(text: str) -> x509.Name:
    """Names in certificates hold 64 characters at most (RFC 5280); what tells them apart comes first."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )
