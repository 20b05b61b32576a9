"""Earthdata on loopback: a login that gives tokens, a data host that wants one, and the open host it redirects to."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from pipeline.read import earthdata
from tests.servers.faulty import Answer, FaultyServer, Request, run_faulty

USER, PASSWORD = "somebody", "pa55word-of-somebody"
AWAY = "X-Amz-Date=20300101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=0"
"""What a redirect is signed with; GDAL remembers such addresses and goes there directly."""


@dataclass
class Earthdata:
    """Three hosts; `live` are the tokens that open something."""

    files: Mapping[str, bytes]
    live: set[str] = field(default_factory=lambda: {"token-of-somebody"})
    login: str = ""
    data: str = ""
    """Wants a token, and answers with a redirect to `away`."""
    away: str = ""
    """Another host name: must never see a token."""
    keys_given: int = 0
    logins: int = 0
    key_life_s: float = 3600.0
    servers: list[FaultyServer] = field(default_factory=list)

    def seen_away(self) -> list[Request]:
        """What the foreign host was asked."""
        return list(self.servers[1].requests)

    def guard(self, request: Request, _earlier: int) -> Answer | None:
        """The login and data host."""
        said = request.headers.get("Authorization", "")
        if request.path == "/api/users/find_or_create_token":
            expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if said != expected:
                return Answer(401)
            self.logins += 1
            self.live.add(f"token-{self.logins}")
            return Answer(body=json.dumps({"access_token": f"token-{self.logins}"}).encode())
        if said.removeprefix("Bearer ") not in self.live:
            return Answer(401, b"<html>Sign in</html>")
        if request.path == "/s3credentials":
            self.keys_given += 1
            ends = datetime.fromtimestamp(time.time() + self.key_life_s, UTC)
            keys = {"accessKeyId": f"KEY{self.keys_given}", "secretAccessKey": "secret-of-keys", "sessionToken": "tok"}
            return Answer(body=json.dumps({**keys, "expiration": ends.isoformat(sep=" ")}).encode())
        if request.path == "/leak":
            return Answer(302, headers={"Location": f"{self.away}/s3credentials"})
        return Answer(307, headers={"Location": f"{self.away}{request.path}?{AWAY}"})


@contextlib.contextmanager
def run_earthdata(files: Mapping[str, bytes], patch: pytest.MonkeyPatch) -> Iterator[Earthdata]:
    """The three hosts while the block runs, with the project's own ideas of where Earthdata is pointed at them."""
    state = Earthdata(files)
    with run_faulty(files, state.guard) as guarded, run_faulty(files) as elsewhere:
        state.servers = [guarded, elsewhere]
        state.login = state.data = guarded.address
        state.away = elsewhere.address.replace("127.0.0.1", "localhost")
        patch.setattr(earthdata, "LOGIN", guarded.address)
        patch.setattr(earthdata, "HOSTS", re.compile(re.escape(guarded.address) + "(?:/|$)"))
        patch.setattr(earthdata, "_TOKENS", type(earthdata._TOKENS)())
        patch.setattr(earthdata, "_KEYS", type(earthdata._KEYS)())
        for name in ("EARTHDATA_TOKEN", "NETRC"):
            patch.delenv(name, raising=False)
        yield state
