"""The servers that some commands of the pages need."""

from __future__ import annotations

from tests.stores.conftest import postgres, redis_server, stores

__all__ = ["postgres", "redis_server", "stores"]
