"""What is not taken, and the HTTP status that says so; the words of an error are for the log, never for the sender."""

from __future__ import annotations

from pipeline.errors import GroundswellError


class RefusedError(GroundswellError):
    """What came is not taken."""

    status = 400
    """2xx to 4xx end SNS's attempts; it tries again after 5xx."""


class MalformedError(RefusedError):
    """It is no message of SNS, or not a whole one."""


class MessageError(RefusedError):
    """What it says cannot be used, and another delivery of it would say the same."""


class StrangerError(RefusedError):
    """Its topic is not listened to."""

    status = 403


class ForgedError(RefusedError):
    """It cannot be what it says that it is."""

    status = 403


class UnprovenError(RefusedError):
    """It may be what it says, and could not be proven to be so now."""

    status = 503
