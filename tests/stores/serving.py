"""The HTTP API on a free port of loopback, by the server that `groundswell serve` uses, and a client for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import uvicorn
from fastapi import FastAPI

from pipeline.config.stores import StoresConfig
from pipeline.stores.api import make_api
from tests.servers.weed import free_ports

START_TIMEOUT_S = 30


@dataclass(frozen=True)
class Client:
    """Asks one server; never leaves a connection open."""

    app: FastAPI
    address: str

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        patience_s: float = 30,
        **asked: Any,
    ) -> Any:
        """The answer, whatever its status."""
        return requests.request(method, self.address + path, params=asked, headers=headers, timeout=patience_s)

    def pages(self, path: str, **asked: Any) -> list[Any]:
        """Every item, page by page."""
        items: list[Any] = []
        while True:
            answer = self.ask(path, **asked)
            answer.raise_for_status()
            page = answer.json()
            assert len(page["items"]) <= asked.get("limit", 100)
            items += page["items"]
            if page["next"] is None:
                return items
            asked["cursor"] = page["next"]


@contextmanager
def serving(stores: StoresConfig, origins: Sequence[str] = ()) -> Iterator[Client]:
    """A server that answers when the block begins and is gone after it."""
    app, (port,) = make_api(stores, origins), free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    try:
        yield Client(app, f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
