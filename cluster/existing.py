"""A cluster that somebody else started and keeps, such as one of a computing centre: used, and left as it was."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from distributed import Client, Security

from cluster.backend import ClusterError, Found, wait_until
from cluster.lease import kept
from cluster.preflight import await_workers, check_versions, connected
from cluster.spec import ClusterSpec, ExistingSpec, TlsFiles


class ExistingBackend:
    """A scheduler by its address, or by the file that it wrote of itself."""

    def render(self, spec: ClusterSpec) -> Mapping[str, Any]:
        asked = cast("ExistingSpec", spec)
        tls = {"ca": asked.tls.ca, "cert": asked.tls.cert, "key": asked.tls.key} if asked.tls is not None else None
        return {"address": asked.address, "scheduler_file": asked.scheduler_file, "tls": tls}

    @contextmanager
    def open(self, spec: ClusterSpec, stop: threading.Event) -> Iterator[Client]:
        asked = cast("ExistingSpec", spec)
        security = _security(asked)
        address = asked.address or _address_in_file(asked, stop)
        if address.startswith("tls://") and security is None:
            raise ClusterError(
                f"region {spec.region}: scheduler {address} speaks TLS only: "
                "its section under `clusters` needs tls: {ca: ..., cert: ..., key: ...}"
            )
        if address.startswith("tcp://") and security is not None:
            raise ClusterError(
                f"region {spec.region}: scheduler {address} speaks no TLS, which its section under `clusters` asks "
                "for: start it with TLS, or leave tls out"
            )
        with connected(address, security, spec, stop) as client, kept(client, spec.idle_timeout_s):
            await_workers(client, spec, stop)
            check_versions(client, spec)
            yield client

    def find(self, spec: ClusterSpec) -> Sequence[Found]:
        return ()

    def remove(self, spec: ClusterSpec, found: Found) -> None:
        raise ClusterError(f"region {spec.region}: cluster {spec.name} belongs to whoever started it: end it there")


def _security(spec: ExistingSpec) -> Security | None:
    """Of the files that the config names. Raises ClusterError for one that cannot be used, before anything is asked."""
    if spec.tls is None:
        return None
    files = {"tls_ca_file": spec.tls.ca, "tls_client_cert": spec.tls.cert, "tls_client_key": spec.tls.key}
    security = Security(require_encryption=True, **files)
    try:
        security.get_connection_args("client")
    except OSError as error:  # of ssl too
        raise ClusterError(f"region {spec.region}: {_unusable(spec.tls)}: {error}") from error
    return security


def _unusable(tls: TlsFiles) -> str:
    files = (tls.ca, tls.cert, tls.key)
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        return f"TLS files are not there: {', '.join(missing)}"
    return f"TLS files {', '.join(files)} are no PEM files of an authority, a certificate and its key"


def _address_in_file(spec: ExistingSpec, stop: threading.Event) -> str:
    """The address in the scheduler's file, waited for: a job of a batch system may still be queued."""
    path = Path(spec.scheduler_file or "")

    def written() -> str | None:
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ClusterError(f"region {spec.region}: the scheduler's file cannot be read: {error}") from error
        except ValueError:
            return None  # half written
        address = found.get("address") if isinstance(found, dict) else None
        if not isinstance(address, str):
            raise ClusterError(f"region {spec.region}: {path} is no file of a Dask scheduler: it has no address")
        return address

    def explain() -> str:
        state = "is no JSON" if path.exists() else "was not written"
        return f"{path} {state} after {spec.start_timeout_s:.0f} s: is the scheduler started with --scheduler-file?"

    return wait_until(written, spec, stop, spec.start_timeout_s, explain)
