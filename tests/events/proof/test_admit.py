"""What may come in at all, and what to add to the file of rules for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load_events
from pipeline.events.event import Message, ObjectEvent
from pipeline.events.proof.admit import ForeignError, check_admitted
from pipeline.events.refusals import StrangerError
from tests.events.consuming import BUCKET, Arrivals

TOPIC = "arn:aws:sns:eu-central-1:123456789012:scenes"


def test_what_is_refused_says_what_would_admit_it(tmp_path: Path) -> None:
    """Also where a queue brings it: an envelope names its topic, which must be listened to."""
    config = load_events(Arrivals(tmp_path).write())
    mine, strange = (ObjectEvent(bucket, "a.csv") for bucket in (BUCKET, "strange"))
    check_admitted(Message("1", events=(mine,)), config)
    with pytest.raises(StrangerError, match=rf"of `topics`, of none; to take it, add `topics: \[{TOPIC}\]`$"):
        check_admitted(Message("1", TOPIC, (mine,)), config)
    with pytest.raises(ForeignError, match=rf"of {BUCKET}; to take it, add `buckets: {{strange: {{}}}}`$"):
        check_admitted(Message("1", events=(mine, strange)), config)
    check_admitted(Message("1", TOPIC, (mine,)), load_events(Arrivals(tmp_path).write(topics=[TOPIC])))
