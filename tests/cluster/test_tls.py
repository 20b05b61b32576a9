"""Only what a cluster's own authority signed talks to it; keys stay where they belong."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask.config
import pytest
from cryptography import x509
from distributed import Scheduler, Security
from distributed.comm.core import CommClosedError, FatalCommClosedError, connect

from cluster.tls import Credentials, Pair, Role, issue, pod_environ, secret_items, security_of

NAME = "demo-eu-central-1"
HOSTS = (f"{NAME}-scheduler", f"{NAME}-scheduler.dask.svc", "10.1.2.3")


@pytest.fixture(scope="module")
def credentials() -> Credentials:
    return issue(NAME, HOSTS)


def _pairs(credentials: Credentials) -> dict[str, Pair]:
    return {"scheduler": credentials.scheduler, "worker": credentials.worker, "client": credentials.client}


def _written(credentials: Credentials, folder: Path) -> Path:
    """As a pod sees its secret."""
    for name, text in credentials.secret().items():
        (folder / name).write_text(text)
    return folder


def _of_environ(environ: Mapping[str, str]) -> Security:
    """What Dask makes of a pod's environment."""
    with dask.config.set(dask.config.merge(dask.config.config, dask.config.collect_env(environ))):
        return Security()


def test_openssl_accepts_each_certificate_for_its_use_only(
    credentials: Credentials, tmp_path: Path, need_binary: Callable[[str], str]
) -> None:
    """Strictly: an authority that may sign, members that may not; the client cannot pose as a scheduler or worker."""
    openssl = need_binary("openssl")
    (tmp_path / "ca.crt").write_text(credentials.ca)
    accepted = set()
    for role, pair in _pairs(credentials).items():
        (tmp_path / f"{role}.crt").write_text(pair.cert)
        for use in ("sslserver", "sslclient"):
            command = [openssl, "verify", "-x509_strict", "-purpose", use, "-CAfile", "ca.crt", f"{role}.crt"]
            if subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0:
                accepted.add((role, use))
    both = {(role, use) for role in ("scheduler", "worker") for use in ("sslserver", "sslclient")}
    assert accepted == {*both, ("client", "sslclient")}


def test_the_scheduler_has_the_names_that_it_is_called_by(credentials: Credentials) -> None:
    certificate = x509.load_pem_x509_certificate(credentials.scheduler.cert.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {*HOSTS[:2]} < {*names.get_values_for_type(x509.DNSName)}
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.1.2.3"]


def test_a_long_name_still_makes_certificates() -> None:
    """Where a name is cut, no member is called like its authority: OpenSSL takes such for self-signed."""
    worker = x509.load_pem_x509_certificate(issue("n" * 80, ()).worker.cert.encode())
    assert worker.subject != worker.issuer


def test_no_key_is_shared_printed_or_sent_without_need(credentials: Credentials) -> None:
    """The secret has what pods need: never the authority's key, nor the client's."""
    keys = [pair.key for pair in _pairs(credentials).values()]
    assert len(set(keys)) == 3
    secret = credentials.secret()
    assert sorted(secret) == ["ca.crt", "scheduler.crt", "scheduler.key", "worker.crt", "worker.key"]
    assert [key for key in keys if key in secret.values()] == [credentials.scheduler.key, credentials.worker.key]
    assert "PRIVATE" not in secret["ca.crt"]
    assert "PRIVATE" not in repr(credentials)


@pytest.mark.parametrize("role", ["scheduler", "worker"])
def test_a_pod_reads_the_files_that_it_mounts_and_no_others(role: Role) -> None:
    environ = pod_environ(role, "/mnt")
    assert {value for value in environ.values() if value.startswith("/")} == {
        f"/mnt/{key}" for key in secret_items(role)
    }
    security = _of_environ(environ)
    assert security.require_encryption is True
    config = security.get_tls_config_for_role(role)
    assert (config["ca_file"], config["cert"], config["key"]) == tuple(f"/mnt/{key}" for key in secret_items(role))


def test_others_are_refused(credentials: Credentials, tmp_path: Path) -> None:
    """A plaintext client, one of another authority, and one that trusts this authority but was not signed by it."""
    other = issue("other")
    pod = _of_environ(pod_environ("scheduler", str(_written(credentials, tmp_path))))
    clients: dict[str, Security | None] = {
        "own": credentials.security(),
        "plaintext": None,
        "foreign": other.security(),
        "unsigned": security_of(credentials.ca, other.client.cert, other.client.key),
    }

    async def met() -> dict[str, BaseException | None]:
        found: dict[str, BaseException | None] = {}
        scheduler = Scheduler(
            protocol="tls://", security=pod, host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0"
        )
        async with scheduler:
            for name, security in clients.items():
                address = scheduler.address if security else scheduler.address.replace("tls://", "tcp://")
                found[name] = await _error_of(address, security)
        return found

    found = asyncio.run(met())
    assert found.pop("own") is None
    # Whether the client reads that it was refused, or only that the scheduler hung up, is a race between the two.
    assert {name for name, error in found.items() if isinstance(error, CommClosedError)} == {*found}
    assert isinstance(found["foreign"], FatalCommClosedError)


async def _error_of(address: str, security: Security | None) -> BaseException | None:
    arguments: dict[str, Any] = security.get_connection_args("client") if security is not None else {}
    try:
        comm = await connect(address, timeout=10, **arguments)
    except CommClosedError as error:
        return error
    await comm.close()
    return None


def test_no_plaintext_is_spoken_where_tls_is_asked_for(credentials: Credentials) -> None:
    """A client with certificates does not fall back."""
    with pytest.raises(RuntimeError, match="encryption required"):
        asyncio.run(_error_of("tcp://127.0.0.1:9", credentials.security()))
