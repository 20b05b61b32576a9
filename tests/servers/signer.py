"""An authority of the tests' own, and signatures as SNS makes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

ISSUER_URL = "http://crt.tests.amazontrust.com/tests.cer"
"""Where leaves say that the certificate of their issuer is."""
KEYS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed, in this order. Source:
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html"""
HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 (version 1 is so)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Signer:
    """A key and the certificate of it; of leaves and of authorities."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def private_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, fields: Mapping[str, str], version: str = "2") -> str:
        """The signature of what these fields say, in base64; written apart from the project's own on purpose."""
        keys = KEYS.get(fields.get("Type", ""), KEYS["SubscriptionConfirmation"])
        text = "".join(f"{key}\n{fields[key]}\n" for key in keys if key in fields)
        signed = self.key.sign(text.encode("utf-8", "surrogatepass"), padding.PKCS1v15(), HASHES[version])
        return base64.b64encode(signed).decode()


def make_authority(now: datetime, name: str = "Tests Root", issuer: Signer | None = None) -> Signer:
    """An authority; issuer: whose own it is under, None: a root."""
    key = make_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(key, subject, issuer, (now - 3650 * DAY, now + 3650 * DAY))
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Signer(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


def make_leaf(
    issuer: Signer,
    now: datetime,
    name: str = "sns.amazonaws.com",
    *,
    life: tuple[timedelta, timedelta] = (-30 * DAY, 300 * DAY),
    issuer_url: str | None = ISSUER_URL,
    key: rsa.RSAPrivateKey | None = None,
) -> Signer:
    """A certificate as SNS signs by; life: from when until when, seen from `now`; key: None for a new one."""
    key = key or make_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(key, subject, issuer, (now + life[0], now + life[1]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if issuer_url is not None:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    return Signer(key, builder.sign(issuer.key, hashes.SHA256()))


def make_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A new one."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _builder(
    key: rsa.RSAPrivateKey, subject: x509.Name, issuer: Signer | None, life: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    by = issuer.key if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
