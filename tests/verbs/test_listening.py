"""The address that a verb answers on."""

from __future__ import annotations

import pytest

from pipeline.errors import PreflightError
from pipeline.verbs._listening import address_of, listen


def test_an_address_is_had_once_and_named_with_a_way_out_when_it_is_taken() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert address_of("127.0.0.1", listener) == f"http://127.0.0.1:{port}/"
        assert address_of("::1", listener) == f"http://[::1]:{port}/"
        with pytest.raises(PreflightError, match=rf"127\.0\.0\.1, port {port}: cannot be listened on .*--port 0"):
            listen("127.0.0.1", port)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(PreflightError, match="port 70000: cannot be listened on"):
        listen("127.0.0.1", 70_000)
