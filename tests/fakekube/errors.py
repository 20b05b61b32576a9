"""What the API answers instead of an object: one exception, and the Status document that a client reads."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
"""An object of the API, as JSON has it."""


class ApiError(Exception):
    """An answer with an HTTP code and one of Kubernetes' reasons."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message

    def status(self) -> Json:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": {},
            "code": self.code,
        }


def not_found(what: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{what} "{name}" not found')


def conflict(message: str) -> ApiError:
    return ApiError(409, "Conflict", message)


def invalid(message: str) -> ApiError:
    return ApiError(422, "Invalid", message)
