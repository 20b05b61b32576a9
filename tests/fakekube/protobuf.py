"""Kubernetes' protobuf, as far as clients write it: Go's typed clients send Secrets, ConfigMaps and options so."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from tests.fakekube.errors import ApiError, Json

MAGIC = b"k8s\0"

Fields = dict[int, list[int | bytes]]


def decode(raw: bytes) -> Json:
    """The object in an envelope of runtime.Unknown. Raises ApiError 415 for a kind that is not read here."""
    envelope = _fields(raw[len(MAGIC) :])
    head = _fields(_bytes(envelope, 1))
    version, kind = _text(head, 1), _text(head, 2)
    body = _fields(_bytes(envelope, 2))
    reader = _READERS.get(kind)
    if reader is None:
        raise ApiError(415, "UnsupportedMediaType", f"{kind} as protobuf is not read here: send JSON")
    return {"apiVersion": version, "kind": kind, **reader(body)}


def _varints(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    place = 0

    def number() -> int:
        nonlocal place
        result = shift = 0
        while True:
            byte = raw[place]
            place += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while place < len(raw):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        elif tag & 7 == 2:
            size = number()
            yield tag >> 3, raw[place : place + size]
            place += size
        else:
            raise ApiError(415, "UnsupportedMediaType", f"protobuf wire type {tag & 7} is not read here")


def _fields(raw: bytes) -> Fields:
    result: Fields = {}
    for field, value in _varints(raw):
        result.setdefault(field, []).append(value)
    return result


def _bytes(fields: Fields, field: int) -> bytes:
    value = fields.get(field, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _text(fields: Fields, field: int) -> str:
    return _bytes(fields, field).decode()


def _map(fields: Fields, field: int) -> dict[str, bytes]:
    entries = [_fields(each) for each in fields.get(field, []) if isinstance(each, bytes)]
    return {_text(entry, 1): _bytes(entry, 2) for entry in entries}


def _metadata(fields: Fields) -> Json:
    meta = _fields(_bytes(fields, 1))
    names = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
    found: Json = {name: _text(meta, field) for field, name in names.items() if _text(meta, field)}
    for field, name in ((11, "labels"), (12, "annotations")):
        if values := _map(meta, field):
            found[name] = {key: value.decode() for key, value in values.items()}
    return found


def _secret(fields: Fields) -> Json:
    data = {key: base64.b64encode(value).decode() for key, value in _map(fields, 2).items()}
    kind = {"type": _text(fields, 3)} if _text(fields, 3) else {}
    return {"metadata": _metadata(fields), "data": data, **kind}


def _config_map(fields: Fields) -> Json:
    return {"metadata": _metadata(fields), "data": {key: value.decode() for key, value in _map(fields, 2).items()}}


def _namespace(fields: Fields) -> Json:
    return {"metadata": _metadata(fields)}


def _delete_options(fields: Fields) -> Json:
    grace = fields.get(1)
    policy = _text(fields, 4)
    return {
        **({"gracePeriodSeconds": grace[-1]} if grace else {}),
        **({"propagationPolicy": policy} if policy else {}),
    }


_READERS: dict[str, Callable[[Fields], Json]] = {
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Namespace": _namespace,
    "DeleteOptions": _delete_options,
}
