"""The listener as a program: where it listens, what it says, how it ends, and the consumer beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.config.load import load_events
from pipeline.events.listener.serve import listen, main
from tests.events.listening import BUCKET, keys_of, post, told_of, write_rules
from tests.servers.listener import LocalListener, read_answer, run_listener
from tests.servers.sns import Sns, run_sns
from tests.servers.sqs import run_sqs


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns")) as made:
        yield made


def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s, "it took too long"
        time.sleep(0.05)


def takes_nobody(listener: LocalListener) -> bool:
    """Whether it listens no more."""
    try:
        listener.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_without_a_config_it_says_what_it_wants(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROUNDSWELL_EVENTS", raising=False)
    assert main([]) == 2
    assert "GROUNDSWELL_EVENTS" in capsys.readouterr().err


def test_an_address_that_is_taken_is_named(sns: Sns, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rules(tmp_path, sns)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([str(path), "--set", f"listen.port={port}"]) == 3
    told = capsys.readouterr().err
    assert f"127.0.0.1:{port} cannot be listened on" in told and "HOST and PORT" in told


@pytest.mark.parametrize(
    ("environ", "code", "told"),
    [
        ({"PORT": "http"}, 2, "listen.port"),
        ({"PORT": "70000"}, 2, "listen.port"),
        ({"HOST": "no such host", "PORT": "0"}, 3, "HOST and PORT"),
        ({"LOG_LEVEL": "loud"}, 3, "LOG_LEVEL"),
    ],
)
def test_an_environment_that_is_wrong_is_named(  # noqa: PLR0913 (a test and its fixtures)
    sns: Sns,
    tmp_path: Path,
    environ: dict[str, str],
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main([str(write_rules(tmp_path, sns))]) == code
    assert told in capsys.readouterr().err


def test_the_environment_comes_before_the_file_and_the_command_line_before_both(sns: Sns, tmp_path: Path) -> None:
    path = write_rules(tmp_path, sns)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Exception, match=f":{port} cannot"):
            listen(path, [f"listen.port={port}"], {"PORT": "0", "GROUNDSWELL_EVENTS__LISTEN__PORT": "1"})
        with pytest.raises(Exception, match=f":{port} cannot"):
            listen(path, [], {"PORT": str(port), "GROUNDSWELL_EVENTS__LISTEN__PORT": "1"})


@pytest.mark.long
def test_by_environment_alone_it_listens_until_sigterm_and_ends_what_is_in_hand(sns: Sns, tmp_path: Path) -> None:
    text = write_rules(tmp_path, sns).read_text()
    environ = {"GROUNDSWELL_EVENTS": text, "HOST": "127.0.0.1", "PORT": "0", "TMPDIR": str(tmp_path)}
    with run_listener(None, environ) as listener, listener.connect() as connection, listener.connect() as idle:
        body = json.dumps(told_of(sns, "in-hand.csv")).encode()
        connection.sendall(b"POST /sns HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
        until(lambda: "groundswell_listener_connections 3.0" in listener.get("/metrics").body.decode())
        listener.process.send_signal(signal.SIGTERM)
        until(lambda: takes_nobody(listener))
        connection.sendall(body[-1:])
        answer = read_answer(connection)
        assert (answer.status, answer.body) == (200, b"stored\n"), listener.log()
        assert read_answer(idle).status == 0
        assert listener.process.wait(20) == 0
    assert keys_of(load_events(tmp_path / "events.yaml")) == ["in-hand.csv"]


@pytest.mark.long
def test_a_second_signal_does_not_wait(sns: Sns, tmp_path: Path) -> None:
    with run_listener(write_rules(tmp_path, sns)) as listener, listener.connect() as connection:
        connection.sendall(b"POST /sns HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        until(lambda: "groundswell_listener_connections 2.0" in listener.get("/metrics").body.decode())
        began_s = time.monotonic()
        listener.process.send_signal(signal.SIGINT)
        until(lambda: takes_nobody(listener))
        listener.process.send_signal(signal.SIGINT)
        assert listener.process.wait(20) == 0
        assert time.monotonic() - began_s < 6, "ten seconds are what the request had"


@pytest.mark.long
def test_the_consumer_beside_it_works_is_begun_again_and_ends_with_it(sns: Sns, tmp_path: Path) -> None:
    (tmp_path / "bucket" / BUCKET).mkdir(parents=True)
    (tmp_path / "bucket" / BUCKET / "a.csv").write_text("x,y\n1,2\n")
    path = write_rules(tmp_path, sns, {"work": None}, jobs={"lease_s": 2, "back_off_s": 0.2})
    with run_listener(path, {"LOCAL_S3_ROOT": str(tmp_path / "bucket")}) as listener:
        process = psutil.Process(listener.process.pid)
        until(lambda: len(process.children()) == 1)
        (first,) = process.children()
        first.kill()
        until(lambda: any(one.pid != first.pid for one in process.children()))
        assert post(listener, told_of(sns, "a.csv")).status == 200
        until(lambda: any((tmp_path / "output").rglob("a.csv.json")), 60)
        family = process.children(recursive=True)
        assert listener.stop() == 0, listener.log()
        assert not psutil.wait_procs(family, 30)[1]


@pytest.mark.long
def test_the_consumer_beside_a_listener_that_is_killed_ends_by_itself(sns: Sns, tmp_path: Path) -> None:
    path = write_rules(tmp_path, sns, {"work": True})
    with run_listener(path) as listener:
        process = psutil.Process(listener.process.pid)
        until(lambda: "consuming" in listener.log())
        family = process.children(recursive=True)
        os.kill(listener.process.pid, signal.SIGKILL)
        assert not psutil.wait_procs(family, 30)[1]


@pytest.mark.long
def test_what_goes_straight_on_to_a_queue_is_there_when_it_is_acknowledged(sns: Sns, tmp_path: Path) -> None:
    with run_sqs() as sqs:
        queue = sqs.queue("straight-on")
        path = write_rules(tmp_path, sns, {"to": "queue"}, queue=queue.config())
        told = {number: told_of(sns, f"été {number}.csv") for number in range(25)}
        with run_listener(path) as listener:
            for document in told.values():
                answer = post(listener, document)
                assert (answer.status, answer.body) == (200, b"queued\n")
            assert queue.depth()[0] == 25
            assert listener.get("/readyz").status == 200
            sqs.client.delete_queue(QueueUrl=queue.url)
            assert post(listener, told[0]).status == 503
            until(lambda: listener.get("/readyz").status == 503)
            assert listener.stop() == 0
        assert not (tmp_path / "inbox.sqlite").exists(), "nobody needs it here"
