"""Messages on the listener's bad days: fifty of each, senders that mean harm, a database that is gone for a while."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pipeline.config.load import load_events
from pipeline.events.rules.route import route_event
from pipeline.events.rules.templates import open_templates
from tests.benchmarks.listener import Trouble, trouble
from tests.events.listening import keys_of, post, rules_of, stored, told_of, write_rules
from tests.servers.databases import Postgres, find_postgres, run_postgres
from tests.servers.listener import LocalListener, run_listener, serve_listener
from tests.servers.sns import Policy, run_sns, s3_message

COPIES = 50
MIB = 2**20
HEAD = b"POST /sns HTTP/1.1\r\nHost: localhost\r\n"
GROWTH = 48 * MIB
FAST = Policy(delays_s=(20.0,) * 100, speed=100)
"""SNS on a clock that runs a hundred times as fast: it tries again every fifth of a second, for 36 s."""
PATIENT = Policy(delays_s=(4.0,) * 900, speed=20)
"""It tries again as often, for three minutes."""


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    programs = find_postgres()
    if programs is None:
        pytest.skip("needs PostgreSQL's programs `initdb` and `postgres`")
    with run_postgres(programs) as server:
        yield server


def test_f40_fifty_copies_of_a_message_at_once_are_one_job(tmp_path: Path) -> None:
    with run_sns(tmp_path) as sns, serve_listener(config := rules_of(tmp_path, sns)) as listener:
        told, barrier = told_of(sns, "once.csv"), threading.Barrier(COPIES)

        def deliver(_: int) -> tuple[int, bytes]:
            barrier.wait()
            answer = post(listener, told)
            return answer.status, answer.body

        with ThreadPoolExecutor(COPIES) as pool:
            answers = list(pool.map(deliver, range(COPIES)))
        assert sorted(answers) == [(200, b"duplicate\n")] * (COPIES - 1) + [(200, b"stored\n")]
        # Another message of the same event, as where two notifications of the bucket overlap.
        assert post(listener, told_of(sns, "once.csv")).body == b"duplicate\n"
        (filed,) = stored(config)
    orders = route_event(filed.arrival.event, config, open_templates(config), time.time())
    assert [order.target for order in orders] == ["object/arrivals-of-tests/once.csv"]


@pytest.mark.long
def test_f40_two_listeners_that_share_a_database_take_each_message_once(postgres: Postgres, tmp_path: Path) -> None:
    with run_sns(tmp_path) as sns, ExitStack() as stack:
        path = write_rules(tmp_path, sns, None, inbox=postgres.dsn)
        listeners = [stack.enter_context(run_listener(path)) for _ in range(2)]
        for listener in listeners:
            sns.subscribe(listener.url, confirm=False, policy=FAST)
        for number in range(20):
            sns.publish(s3_message("arrivals-of-tests", f"{number}.csv"), copies=5)
        sns.settle()
        config = load_events(path)
        assert sorted(keys_of(config)) == sorted(f"{number}.csv" for number in range(20))
        verdicts = Counter[str]()
        for listener in listeners:
            for line in listener.get("/metrics").body.decode().splitlines():
                found = re.fullmatch(r'groundswell_listener_events_total\{verdict="(\w+)"\} (.*)', line)
                if found:
                    verdicts[found[1]] += int(float(found[2]))
        assert (verdicts["new"], verdicts["duplicate"]) == (20, 180)


def _hold(listener: LocalListener, stack: ExitStack, sent: bytes) -> socket.socket:
    connection = stack.enter_context(listener.connect())
    connection.sendall(sent)
    return connection


@pytest.mark.long
def test_f45_senders_that_mean_harm_are_refused_and_others_are_served(tmp_path: Path) -> None:
    with run_sns(tmp_path) as sns, ExitStack() as stack:
        path = write_rules(tmp_path, sns, {"read_timeout_s": 3})
        listener = stack.enter_context(run_listener(path, {"LOG_LEVEL": "ERROR"}))
        assert post(listener, told_of(sns, "first.csv")).status == 200
        process = psutil.Process(listener.process.pid)
        before = process.memory_info().rss
        slow = [_hold(listener, stack, HEAD + b"Content-Length: 900000\r\n\r\n" + bytes(1000)) for _ in range(300)]
        began_s, took_s = time.monotonic(), []
        for number in range(20):
            assert listener.post(bytes(5_000_000)).status == 413
            assert listener.post(b'{"Type": "Notification"').status == 400
            assert listener.ask(HEAD + b"Connection: close\r\n\r\n").status == 411
            assert listener.ask(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").status == 411
            asked_s = time.monotonic()
            assert post(listener, told_of(sns, f"served-{number}.csv")).status == 200
            took_s.append(time.monotonic() - asked_s)
        for connection in slow:
            assert connection.recv(12) == b"HTTP/1.1 408"
        assert time.monotonic() - began_s < 30
        assert max(took_s) < 2
        assert process.memory_info().rss - before < GROWTH, "300 slow senders and 100 MB"
        assert len(keys_of(load_events(path))) == 21
        assert listener.stop() == 0


@pytest.mark.long
def test_f45_more_slow_senders_than_there_are_places_keep_nobody_out(tmp_path: Path) -> None:
    with run_sns(tmp_path) as sns, ExitStack() as stack:
        path = write_rules(tmp_path, sns, {"max_connections": 50})
        listener = stack.enter_context(run_listener(path, {"LOG_LEVEL": "ERROR"}))
        subscription = sns.subscribe(listener.url, confirm=False, policy=PATIENT)

        def deliver() -> None:
            for number in range(40):
                sns.publish(s3_message("arrivals-of-tests", f"{number}.csv"))
            sns.settle(120)

        def thrown_out() -> bool:
            """All places were taken; who asks may be thrown out as well."""
            try:
                said = listener.get("/metrics").body.decode()
            except (OSError, ValueError, IndexError):
                return False
            return re.search(r'refused_total\{by="connections"\} \d{3,}', said) is not None

        async def beside_slow() -> None:
            # Who is thrown out comes again: there are twice as many as places, however slow the machine is.
            async with trouble(listener.port, Trouble(slow=100, pause_s=0.1)):
                await asyncio.to_thread(deliver)
                await asyncio.to_thread(_until, thrown_out, 60.0)

        asyncio.run(beside_slow())
        assert subscription.dead == []
        assert len(keys_of(load_events(path))) == 40


@pytest.mark.long
def test_f46_what_comes_while_the_database_is_down_is_refused_until_it_is_back_and_then_there_once(
    postgres: Postgres, tmp_path: Path
) -> None:
    with run_sns(tmp_path) as sns, ExitStack() as stack:
        path = write_rules(tmp_path, sns, None, inbox="${DATABASE_URL}")
        listener = stack.enter_context(run_listener(path, {"DATABASE_URL": postgres.dsn}))
        subscription = sns.subscribe(listener.url, confirm=False, policy=FAST)
        wanted = [f"{number}.csv" for number in range(30)]
        for key in wanted[:10]:
            sns.publish(s3_message("arrivals-of-tests", key))
        sns.settle()
        postgres.stop()
        for key in wanted[10:]:
            sns.publish(s3_message("arrivals-of-tests", key))
        _until(lambda: sum(each.status == 503 for each in list(subscription.attempts)) >= 20)
        down = listener.get("/readyz")
        assert (down.status, down.body, listener.get("/healthz").status) == (503, b"not ready\n", 200)
        answer = post(listener, told_of(sns, "by-hand.csv"))
        assert (answer.status, answer.body, "retry-after" in answer.head) == (
            503,
            b"cannot be stored now: come again\n",
            True,
        )
        postgres.start()
        sns.settle()
        assert subscription.dead == []
        assert {each.status for each in subscription.attempts} == {200, 503}
        _until(lambda: listener.get("/readyz").status == 200)
        assert listener.stop() == 0
        assert "postgresql://" not in listener.log(), "no message holds the connection string"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", postgres.dsn)
        assert sorted(keys_of(load_events(path))) == sorted(wanted)


@pytest.mark.long
def test_f46_a_listener_that_is_killed_has_stored_what_it_acknowledged(tmp_path: Path) -> None:
    """And what it had not is delivered again to the next one."""
    with run_sns(tmp_path) as sns, ExitStack() as stack:
        path, acknowledged = write_rules(tmp_path, sns), list[str]()
        first = stack.enter_context(run_listener(path))
        bodies = {f"{number}.csv": json.dumps(told_of(sns, f"{number}.csv")).encode() for number in range(200)}

        def send(key: str) -> None:
            with contextlib.suppress(OSError):
                if first.post(bodies[key]).status == 200:
                    acknowledged.append(key)

        with ThreadPoolExecutor(8) as pool:
            for key in bodies:
                pool.submit(send, key)
            _until(lambda: len(acknowledged) >= 50)
            first.process.kill()
        assert 50 <= len(acknowledged) < 200
        assert set(acknowledged) <= set(keys_of(load_events(path)))
        second = stack.enter_context(run_listener(path))
        assert {second.post(body).status for body in bodies.values()} == {200}
        assert sorted(keys_of(load_events(path))) == sorted(bodies)


def _until(holds: object, timeout_s: float = 20.0) -> None:
    assert callable(holds)
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "it took too long"
        time.sleep(0.05)
