"""Laws of what is lent: a service that fails costs one wait for all threads, and only those that asked it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read import lent as module
from pipeline.read.lent import Lent

THREADS = 8
PATIENCE_S = 60


class Service:
    """A fetch that fails, or not, after so long on the patched clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.takes_s, self.asked = 1000.0, 0.0, 0
        self.failure: AssetError | None = TransientAssetError("https://tokens", "HTTP 503")
        monkeypatch.setattr(module, "time", SimpleNamespace(time=time.time, monotonic=lambda: self.now))

    def fetch(self) -> tuple[str, float]:
        self.asked += 1
        self.now += self.takes_s
        if self.failure is not None:
            raise self.failure
        return "token", time.time() + 1000


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


def test_threads_that_wait_together_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One fetch for all of them: in series, a dead service would amount to a hang."""
    lent: Lent[str] = Lent()
    ticks, all_wait, fetched = itertools.count(1), threading.Event(), []

    def monotonic() -> float:
        """Each thread looks at the clock as it asks, and the one that fetches once more."""
        tick = next(ticks)
        if tick == THREADS + 1:
            all_wait.set()
        return tick

    def fetch() -> tuple[str, float]:
        fetched.append(all_wait.wait(PATIENCE_S))
        raise TransientAssetError("https://tokens", "HTTP 503")

    monkeypatch.setattr(module, "time", SimpleNamespace(time=time.time, monotonic=monotonic))
    with ThreadPoolExecutor(THREADS) as pool:
        asking = [pool.submit(lent.get, "x", fetch) for _ in range(THREADS)]
        failures = [one.exception(PATIENCE_S) for one in asking]
    assert fetched == [True]
    assert [str(one) for one in failures] == ["https://tokens: HTTP 503"] * THREADS
    assert len({id(one) for one in failures}) == THREADS, "threads would write into one traceback"


def test_a_slow_name_holds_up_no_other() -> None:
    lent: Lent[str] = Lent()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[str, float]:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return "slow", time.time() + 1000

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(lent.get, "slow", slow)
        assert begun.wait(PATIENCE_S)
        other = pool.submit(lent.get, "other", lambda: ("other", time.time() + 1000))
        try:
            assert other.result(PATIENCE_S / 2) == "other"
            assert not waiting.done()
        finally:
            go_on.set()
        assert waiting.result(PATIENCE_S) == "slow"


@pytest.mark.parametrize("kind", [TransientAssetError, PermanentAssetError])
def test_a_time_out_is_the_answer_for_half_a_minute(service: Service, kind: Callable[[str, str], AssetError]) -> None:
    lent: Lent[str] = Lent()
    service.failure, service.takes_s = kind("https://tokens", "ReadTimeout"), 40.0
    for later_s in (0.0, 10.0, 19.0):
        service.now += later_s
        with pytest.raises(AssetError, match="https://tokens: ReadTimeout") as caught:
            lent.get("x", service.fetch)
        assert type(caught.value) is kind
    assert service.asked == 1
    service.now, service.failure = service.now + 2, None
    assert lent.get("x", service.fetch) == "token" and service.asked == 2


def test_a_quick_failure_is_asked_about_again(service: Service) -> None:
    """Or the attempts at a file, half a second apart, would be in vain."""
    lent: Lent[str] = Lent()
    for _ in range(2):
        with pytest.raises(TransientAssetError):
            lent.get("x", service.fetch)
    service.failure = None
    assert lent.get("x", service.fetch) == "token" and service.asked == 3


def test_a_failed_renewal_takes_nothing_that_still_holds(service: Service) -> None:
    lent: Lent[str] = Lent()
    service.failure, failure = None, service.failure
    lent.get("x", service.fetch)
    service.failure, service.takes_s = failure, 40.0
    with pytest.raises(TransientAssetError):
        lent.get("x", service.fetch, service.now)
    assert lent.get("x", service.fetch) == "token" and service.asked == 2
