"""What a pod's processes see of the network is what the file says at that moment."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.fakekube import inside
from tests.fakekube.inside import Network

SERVICE, POD, OTHER = "127.1.128.1", "127.1.0.1", "127.1.0.2"


def written(path: Path, **changes: Any) -> Path:
    document = {
        "names": {"web.here": SERVICE},
        "endpoints": {f"{SERVICE}:80": [f"{POD}:8080"]},
        "pods": [POD, OTHER],
        "ingress": {},
        "egress": {},
    }
    path.write_text(json.dumps({**document, **changes}))
    return path


def test_services_have_the_names_that_kubernetes_gives_them(tmp_path: Path) -> None:
    path = written(tmp_path / "network.json")
    pod, visitor = Network(path, "here"), Network(path)
    for name in ("web.here", "web.here.svc", "web.here.svc.cluster.local", "web.here.svc.cluster.local."):
        assert pod.address(name) == visitor.address(name) == SERVICE
    assert pod.address("web") == SERVICE and visitor.address("web") is None
    assert pod.address("web.there") is None and pod.address("localhost") is None


def test_a_connection_to_a_service_goes_to_a_ready_pod_and_elsewhere_stays(tmp_path: Path) -> None:
    network = Network(written(tmp_path / "network.json"))
    assert network.endpoint((SERVICE, 80)) == (POD, 8080)
    for same in ((SERVICE, 81), ("127.0.0.1", 80), "/a/socket"):
        assert network.endpoint(same) == same
    written(tmp_path / "network.json", endpoints={f"{SERVICE}:80": []})
    assert network.endpoint((SERVICE, 80)) == (SERVICE, 80), "nobody listens there"


def test_a_policy_drops_what_none_of_its_rules_lets_in(tmp_path: Path) -> None:
    rules = {POD: [[[OTHER], [[8000, 8100]]], [None, [[9000, 9000]]]]}
    network = Network(written(tmp_path / "network.json", ingress=rules))
    network.check(OTHER, (POD, 8080))
    network.check("127.1.0.3", (POD, 9000))
    network.check(POD, (POD, 1))
    network.check(POD, ("127.0.0.1", 1))
    for own, port in ((OTHER, 1), ("127.1.0.3", 8080)):
        with pytest.raises(TimeoutError, match=f"ingress of {POD}"):
            network.check(own, (POD, port))
    network = Network(written(tmp_path / "network.json", egress={OTHER: []}))
    with pytest.raises(TimeoutError, match=f"egress of {OTHER}"):
        network.check(OTHER, (POD, 9000))


def test_a_process_is_led_and_binds_as_a_pod_does_till_it_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "127.1.0.9"
    before = socket.socket.connect, socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        path = written(tmp_path / "network.json", endpoints={f"{SERVICE}:80": [place]})
        monkeypatch.setenv(inside.NETWORK, str(path))
        monkeypatch.setenv(inside.ADDRESS, own)
        undo = inside.install()
        try:
            with socket.create_connection(("web.here", 80), timeout=9) as line:
                assert line.getpeername() == server.getsockname()
            with socket.create_server(("", 0)) as wild, socket.socket(type=socket.SOCK_DGRAM) as question:
                assert wild.getsockname()[0] == own
                question.connect(("192.0.2.1", 9))
                assert question.getsockname()[0] == own, "the address by which others reach it"
        finally:
            undo()
    assert (socket.socket.connect, socket.getaddrinfo) == before
