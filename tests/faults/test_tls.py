"""Whoever cannot show a certificate of the cluster's own authority runs nothing on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from distributed import Client, LocalCluster, Security

from cluster.tls import issue

pytestmark = pytest.mark.full

RUNS = """\
import sys
from pathlib import Path
from distributed import Client
with Client(sys.argv[1], timeout=5) as client:
    client.submit(Path(sys.argv[2]).touch).result(timeout=5)
"""


def test_f56_a_client_without_tls_is_refused_and_no_task_runs(tmp_path: Path) -> None:
    """The same program touches a file on a cluster that speaks plainly; on one with TLS it ends with an error."""
    own = issue("tests")
    security = Security(
        require_encryption=True,
        tls_ca_file=own.ca,
        tls_scheduler_cert=own.scheduler.cert,
        tls_scheduler_key=own.scheduler.key,
        tls_worker_cert=own.worker.cert,
        tls_worker_key=own.worker.key,
        tls_client_cert=own.client.cert,
        tls_client_key=own.client.key,
    )
    for protocol, keys in (("tcp", None), ("tls", security)):
        touched = tmp_path / protocol
        with LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol=f"{protocol}://",
            security=keys,
            dashboard_address="127.0.0.1:0",
        ) as cluster:
            plain = cluster.scheduler_address.replace("tls://", "tcp://")
            command = [sys.executable, "-c", RUNS, plain, str(touched)]
            ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
            with Client(cluster) as client:
                assert client.submit(sum, (1, 2)).result(timeout=30) == 3, "it serves its own all the while"
        assert (ended.returncode == 0) == touched.exists() == (protocol == "tcp"), ended.stderr
