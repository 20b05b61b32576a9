"""What tests of proof share: messages of every kind, and every change of one byte of what is signed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from pipeline.events.proof.sns import Prover, RefusedError
from pipeline.types import Json
from tests.servers.signer import KEYS
from tests.servers.sns import Document, Sns


def documents(sns: Sns) -> Iterator[Document]:
    """One of each kind and version, with and without a subject."""
    for version in ("1", "2"):
        yield sns.notification("Hé\n<🛰>", version=version)
        yield sns.notification("", subject="New file", version=version)
        for kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
            yield sns.confirmation(version=version, kind=kind)


def changed(document: Mapping[str, str], key: str, value: bytes) -> dict[str, Json]:
    return {**document, key: value.decode("utf-8", "surrogateescape")}


def one_byte_changes(value: bytes, others: range | tuple[int, ...]) -> Iterator[bytes]:
    """Each byte replaced by itself xor each of the others; left out; doubled."""
    for place, byte in enumerate(value):
        for other in others:
            yield value[:place] + bytes([byte ^ other]) + value[place + 1 :]
        yield value[:place] + value[place + 1 :]
        yield value[: place + 1] + value[place:]


def signed_keys(document: Mapping[str, str]) -> list[str]:
    return [key for key in KEYS.get(document["Type"], KEYS["SubscriptionConfirmation"]) if key in document]


def refused(prover: Prover, document: Mapping[str, Json]) -> bool:
    """As `pytest.raises`, in a tenth of its time."""
    try:
        prover.prove(document)
    except RefusedError:
        return True
    return False


def check_all_changes_are_refused(prover: Prover, document: Document, others: range | tuple[int, ...]) -> int:
    count = 0
    for key in signed_keys(document):
        value = document[key].encode()
        for other in one_byte_changes(value, others):
            if other == value:
                continue
            count += 1
            assert refused(prover, changed(document, key, other)), (key, other)
    signature = base64.b64decode(document["Signature"])
    for other in one_byte_changes(signature, others):
        if other == signature:  # a byte that is doubled before its like changes nothing else, but the length
            continue
        count += 1
        assert refused(prover, {**document, "Signature": base64.b64encode(other).decode()}), other
    assert prover.prove(document).id == document["MessageId"]
    return count
