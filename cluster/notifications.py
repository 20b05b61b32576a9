"""`python -m cluster.notifications add|remove`: one entry among a bucket's event notifications, never all of them.

S3 keeps one document a bucket and takes it only whole, so a tool that writes what it knows deletes what it does not.
This reads the document, changes the one entry of the given id, writes it and reads again. The entry is what the
environment variable GROUNDSWELL_NOTIFICATION says, as JSON, so that no shell sees it; credentials are botocore's.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError

VARIABLE = "GROUNDSWELL_NOTIFICATION"
EVENTS = ("s3:ObjectCreated:*",)
_ATTEMPTS = 6
_WAIT_S = 5.0
_SAFE = "/!-_.*'()"
"""What keys may hold without being encoded where S3 compares them. Source: Amazon S3 User Guide, "Naming objects"."""
_LIST = "TopicConfigurations"
_SWITCH = "EventBridgeConfiguration"

Document = Mapping[str, Any]
"""A bucket's notifications as S3 answers them."""


class NotificationError(Exception):
    """The entry could not be put or taken away; the message names the bucket."""


@dataclass(frozen=True)
class Entry:
    """What is added to a bucket's notifications, and later taken away."""

    bucket: str
    region: str
    owner: str
    """Account that must own the bucket, so that a name that is somebody else's by now is refused."""
    entry: str
    """Id; whatever has another one is not ours."""
    topic: str | None = None
    """ARN; nothing: EventBridge hears of every object instead."""
    prefix: str = ""
    suffix: str = ""


def added(document: Document, wanted: Entry) -> Document:
    """The document with our entry, in its place if it was there, and everything else as it was."""
    kept = {name: value for name, value in document.items() if name != "ResponseMetadata"}
    if wanted.topic is None:
        return {**kept, _SWITCH: {}}
    filters = ("prefix", wanted.prefix), ("suffix", wanted.suffix)
    rules = [{"Name": name, "Value": quote_plus(value, safe=_SAFE)} for name, value in filters if value]
    ours: dict[str, Any] = {"Id": wanted.entry, "TopicArn": wanted.topic, "Events": list(EVENTS)}
    if rules:
        ours["Filter"] = {"Key": {"FilterRules": rules}}
    return {**kept, _LIST: [*_others(kept, wanted.entry), ours]}


def removed(document: Document, wanted: Entry) -> Document:
    """The document without our entry. EventBridge stays on: nobody knows who else listens there."""
    kept = {name: value for name, value in document.items() if name not in {"ResponseMetadata", _LIST}}
    others = _others(document, wanted.entry)
    return {**kept, _LIST: others} if others else kept


def _others(document: Document, entry: str) -> list[Any]:
    return [each for each in document.get(_LIST, ()) if each.get("Id") != entry]


def apply(change: Callable[[Document, Entry], Document], wanted: Entry, client: Any) -> None:
    """Make the change and see that it held. Raises NotificationError.

    S3 has no condition on this write: of two writers at the same moment one is lost. So ours wait for each other; and
    what was written is read again: where somebody else's was later, the change is made on that, a bounded number of
    times.
    """
    where = {"Bucket": wanted.bucket, "ExpectedBucketOwner": wanted.owner}
    # S3 asks every destination before it takes a document; somebody else's that is gone must not keep our entry.
    blind = {"SkipDestinationValidation": True} if change is removed else {}
    failure = ""
    with _alone():
        for left in reversed(range(_ATTEMPTS + 1)):
            try:
                found = client.get_bucket_notification_configuration(**where)
                target = change(found, wanted)
                if _same(found, target):
                    return
                if left:
                    client.put_bucket_notification_configuration(**where, **blind, NotificationConfiguration=target)
                    failure = "somebody else changes it all the time"
            except ClientError as error:
                if change is removed and error.response["Error"]["Code"] == "NoSuchBucket":
                    return
                failure = _explained(error)
                if left <= 1 or not _passes(error):
                    break
                time.sleep(_WAIT_S * (_ATTEMPTS + 1 - left))
            except BotoCoreError as error:
                failure = f"{type(error).__name__}: {error}"
                break
    raise NotificationError(f"notifications of s3://{wanted.bucket}, entry {wanted.entry}: {failure}")


@contextmanager
def _alone() -> Iterator[None]:
    """One process of this folder at a time: Terraform changes every bucket's entries at once."""
    with Path(__file__).open("rb") as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        yield


def _passes(error: ClientError) -> bool:
    """Another change of the bucket is on its way, or the topic's policy, written a moment ago, has not yet arrived."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return code == "OperationAborted" or (code == "InvalidArgument" and "validate" in message)


def _same(one: Document, other: Document) -> bool:
    return bool(_canonical(one) == _canonical(other))


def _canonical(value: Any) -> Any:
    """The order of a list says nothing, and S3 answers `Prefix` where `prefix` was written."""
    if isinstance(value, list):
        return sorted((_canonical(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, dict):
        found = {name: _canonical(each) for name, each in value.items() if name != "ResponseMetadata"}
        return found | {"Name": found["Name"].lower()} if isinstance(found.get("Name"), str) else found
    return value


def _explained(error: ClientError) -> str:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    hint = {
        "AccessDenied": "; needs s3:GetBucketNotification and s3:PutBucketNotification on a bucket of this account",
        "InvalidArgument": "; where it overlaps with an entry of somebody else's, use mode eventbridge; where a "
        "destination is not valid, that may be somebody else's too",
        "NoSuchBucket": "; is it in this region and account?",
    }.get(code, "")
    return f"{code}: {message}{hint}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when it is so, 1 when it could not be made so, 2 for wrong usage; the message is on stderr."""
    changes = {"add": added, "remove": removed}
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1 or given[0] not in changes or VARIABLE not in os.environ:
        sys.stderr.write(f"usage: {VARIABLE}='{{...}}' python -m cluster.notifications add|remove\n")
        return 2
    wanted = Entry(**json.loads(os.environ[VARIABLE]))
    try:
        client = botocore.session.get_session().create_client("s3", region_name=wanted.region)
        apply(changes[given[0]], wanted, client)
    except (BotoCoreError, NotificationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
