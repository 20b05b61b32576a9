"""Whether a certificate is SNS's own: its names, its key, its dates, and the authorities that it leads to."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from pipeline.errors import ConfigError
from pipeline.events.proof.addresses import Topic
from pipeline.events.refusals import ForgedError, UnprovenError

_ROOTS = frozenset({f"Amazon Root CA {number}" for number in range(1, 5)})
"""Names of Amazon's own. Source: https://www.amazontrust.com/repository/"""
_KEY_BITS = 2048
_STEPS = 2
"""Authorities that are asked for, one after another, before a chain is given up."""
_ODD = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""By which a certificate that is damaged, or of another kind, cannot be read."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Certificates = Sequence[x509.Certificate]
Fetch = Callable[[str], bytes]
"""What is at the address of an authority's certificate."""


@dataclass(frozen=True)
class Proven:
    """The key of a certificate that was found to be SNS's own, and when that holds."""

    key: RSAPublicKey
    since: datetime
    until: datetime
    """All certificates of its chain are valid between these two, and both are part of it."""

    def check(self, now: datetime) -> None:
        """Raises ForgedError where its chain is not valid now."""
        if not self.since <= now <= self.until:
            raise ForgedError(
                f"found a certificate that is valid from {self.since.isoformat()} to {self.until.isoformat()}; "
                f"required: valid now, at {now.isoformat(timespec='seconds')}"
            )


def read_pem(text: bytes) -> Certificates:
    """The certificates of a PEM file, in its order. Raises ValueError where there is none, or one is damaged."""
    found = [x509.load_pem_x509_certificate(one) for one in _PEM.findall(text)]
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def read_pem_file(path: Path) -> Certificates:
    """The same of a file that the config names; raises ConfigError."""
    try:
        return read_pem(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; required: certificates in PEM form") from error


def amazon_roots() -> Certificates:
    """Amazon's own authorities, of those that this machine or the package certifi trusts.

    Raises UnprovenError where there is none among them.
    """
    found = {der for der in ssl.create_default_context().get_ca_certs(binary_form=True) if _amazon(der)}
    found |= {ssl.PEM_cert_to_DER_cert(one.decode()) for one in _PEM.findall(Path(DEFAULT_CA_BUNDLE_PATH).read_bytes())}
    roots = [x509.load_der_x509_certificate(der) for der in sorted(found) if _amazon(der)]
    own = [root for root in roots if _ROOTS & set(_texts(root.subject, NameOID.COMMON_NAME))]
    if not own:
        raise UnprovenError("found none of Amazon's authorities among those of this machine; give them as sns.trust")
    return own


def prove_chain(
    given: Certificates, topic: Topic, anchors: Iterable[x509.Certificate], now: datetime, fetch: Fetch
) -> Proven:
    """What is proven of the first of some certificates: the others may be between it and the anchors.

    An authority that is missing is fetched from where the certificate below it says, if that is Amazon's. A certificate
    that is itself among the anchors is trusted as it is. Raises ForgedError, and whatever `fetch` raises.
    """
    leaf, between, anchors = given[0], list(given[1:]), list(anchors)
    key, name = _key(leaf), _name(leaf, topic)
    Proven(key, leaf.not_valid_before_utc, leaf.not_valid_after_utc).check(now)
    if leaf in anchors:
        return Proven(key, leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    verifier = PolicyBuilder().store(Store(anchors)).time(now).build_server_verifier(x509.DNSName(name))
    last = leaf
    for step in range(_STEPS + 1):
        try:
            chain = verifier.verify(leaf, between)
            break
        except VerificationError as error:
            url = _issuer_url(last)
            if url is None or step == _STEPS:
                raise ForgedError(
                    f"found a certificate of {name} by {_issuer(leaf)} that leads to none of {len(anchors)} "
                    f"authorities: {error}; where its authority is another, give it as sns.trust"
                ) from error
        last = _certificate(fetch(url), url)
        between.append(last)
    return Proven(key, max(one.not_valid_before_utc for one in chain), min(one.not_valid_after_utc for one in chain))


def pinned(certificate: x509.Certificate) -> Proven:
    """A certificate that the config gives: its key and dates count, and nothing else."""
    return Proven(_key(certificate), certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _amazon(der: bytes) -> bool:
    """A first look, without reading what this machine has of other authorities."""
    return any(name.encode() in der for name in _ROOTS)


def _key(leaf: x509.Certificate) -> RSAPublicKey:
    try:
        key = leaf.public_key()
    except _ODD as error:
        raise ForgedError(f"found a certificate whose key cannot be read: {error}") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < _KEY_BITS:
        raise ForgedError(f"found a certificate with {type(key).__name__}; required: RSA of {_KEY_BITS} bits or more")
    return key


def _name(leaf: x509.Certificate, topic: Topic) -> str:
    """The name of SNS that it is issued to."""
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = alternatives.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        found = _texts(leaf.subject, NameOID.COMMON_NAME)
    except _ODD as error:
        raise ForgedError(f"found a certificate whose names cannot be read: {error}") from error
    for name in topic.names:
        if name in found:
            return name
    raise ForgedError(f"found a certificate of {', '.join(found) or 'nobody'}; allowed: {', '.join(topic.names)}")


def _issuer_url(certificate: x509.Certificate) -> str | None:
    """Where it says that the certificate of its issuer is."""
    try:
        places = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (*_ODD, x509.ExtensionNotFound):
        return None
    for place in places:
        location = place.access_location
        issuers = place.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        if issuers and isinstance(location, x509.UniformResourceIdentifier):
            return location.value
    return None


def _certificate(data: bytes, url: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise ForgedError(f"{url}: found {len(data)} bytes that are no certificate: {error}") from error


def _issuer(leaf: x509.Certificate) -> str:
    return leaf.issuer.rfc4514_string()


def _texts(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(one.value) for one in name.get_attributes_for_oid(oid)]
