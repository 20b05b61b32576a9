"""What stands in for AWS on this machine: an S3 server, moto's SNS and SQS, and notifications of what is put."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

from pipeline.errors import PreflightError

REGION: Final = "us-east-1"
KEY: Final = "local-stack"
SECRET: Final = "local-stack"  # noqa: S105 (of servers that answer this machine alone)
_START_S: Final = 60.0
_STOP_S: Final = 5.0
_LOOK_S: Final = 0.5
_PORTS: Final = ("s3", "master", "volume", "filer", "admin")
_LOCAL: Final = "pip install 'groundswell[local]'"

_LOG = logging.getLogger(__name__)


def client(service: str, endpoint: str) -> Any:
    """Of a server of this machine, whatever profile and proxy the environment names."""
    import botocore.session  # noqa: PLC0415 (slow to import)
    from botocore.config import Config  # noqa: PLC0415

    return botocore.session.Session({"profile": (None, None, None, None)}).create_client(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=30, proxies={}),
    )


@contextlib.contextmanager
def run_s3(folder: Path, bucket: str) -> Iterator[str]:
    """An S3 server with a bucket, which keeps its data in a folder; its address. Raises PreflightError."""
    beside = Path(sys.executable).with_name("weed")
    binary = str(beside) if beside.is_file() else shutil.which("weed")
    if binary is None:
        raise PreflightError(f"found no program `weed`, the S3 server; expected the extra `local`: {_LOCAL}")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    with tempfile.TemporaryDirectory(prefix="weed-") as short, log.open("wb") as output:
        endpoint, arguments = _weed_arguments(folder, Path(short))
        environ = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        with child([binary, "mini", *arguments], _STOP_S, cwd=short, env=environ, **streams) as process:
            _make_bucket(client("s3", endpoint), bucket, process, log)
            yield endpoint


@contextlib.contextmanager
def child(command: Sequence[str], grace_s: float, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block, gently at first, and with this process, however that ends.

    grace_s: what it has to end by itself. options: of Popen.
    """
    # Ctrl-C is for the stack alone, which ends its parts one after another.
    apart: dict[str, Any] = {"start_new_session": True, "text": True}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **apart, **options)  # noqa: S603 (of this module)
    script = f"read -r _ || {{ kill {process.pid}; sleep {grace_s:g}; kill -9 {process.pid}; }}"
    # It reads from a pipe that only this process holds open, and that closes with it.
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    guard = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, **silent, **apart)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        guard.communicate("\n")


@contextlib.contextmanager
def run_sns_and_sqs(certificate: Path) -> Iterator[str]:
    """Moto's server; its address. All that its SNS posts is signed by one key, whose certificate is written to a file.

    Raises PreflightError where moto is missing.
    """
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 (of the extra `local`)
        from moto.sns.models import Subscription  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise PreflightError(f"found no package {error.name}; expected the extra `local`: {_LOCAL}") from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    key = _make_certificate(certificate)
    own = Subscription.private_key
    # Moto makes a key for each subscription and shows its certificates to nobody outside of its own process.
    setattr(Subscription, own.__name__, lambda _: key)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()
        setattr(Subscription, own.__name__, own)


class Watcher:
    """Tells a topic of what lands in a bucket and leaves it, as S3 does, by looking into it twice a second."""

    def __init__(self, s3: Any, bucket: str, sns: Any, topic: str) -> None:
        self._s3, self._bucket, self._sns, self._topic = s3, bucket, sns, topic
        self._seen = self._listed()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="bucket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (slow to import)

        while not self._stop.wait(_LOOK_S):
            try:
                self._look()
            except (BotoCoreError, ClientError) as error:
                _LOG.warning("bucket %s: %s; it is tried again", self._bucket, error)

    def _look(self) -> None:
        """What could not be told is told when it is looked at next."""
        now = self._listed()
        for key, (etag, size) in now.items():
            if self._seen.get(key, ("", 0))[0] != etag:
                self._tell("ObjectCreated:Put", key, {"size": size, "eTag": etag})
                self._seen[key] = (etag, size)
        for key in self._seen.keys() - now.keys():
            self._tell("ObjectRemoved:Delete", key, {})
            del self._seen[key]

    def _listed(self) -> dict[str, tuple[str, int]]:
        """Key → (ETag, bytes)."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        objects = [one for page in pages for one in page.get("Contents", ()) if not one["Key"].endswith("/")]
        return {one["Key"]: (one["ETag"].strip('"'), one["Size"]) for one in objects}

    def _tell(self, name: str, key: str, state: Mapping[str, Any]) -> None:
        self._sns.publish(TopicArn=self._topic, Message=notification(self._bucket, name, key, state))
        _LOG.info("told of %s of s3://%s/%s", name, self._bucket, key)


def notification(bucket: str, name: str, key: str, state: Mapping[str, Any]) -> str:
    """The text of a notification of S3. name: of the event; state: size and eTag of what is there.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    told = {"key": quote_plus(key, safe="/"), **state, "sequencer": f"{time.time_ns():016X}"}
    owner = {"principalId": "LOCAL"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": name,
        "userIdentity": owner,
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "local-stack",
            "bucket": {"name": bucket, "ownerIdentity": owner, "arn": f"arn:aws:s3:::{bucket}"},
            "object": told,
        },
    }
    return json.dumps({"Records": [record]})


def _weed_arguments(folder: Path, short: Path) -> tuple[str, list[str]]:
    """The server's address, and its command line. short: for its socket, whose path must be."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2 * len(_PORTS))]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    named = [f"-{name}.port{kind}" for name in _PORTS for kind in ("", ".grpc")]
    fixed = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false"]
    places = [f"-dir={folder.resolve()}", f"-s3.localSocket={short / 's3.sock'}", "-admin.ui=false"]
    return f"http://127.0.0.1:{ports[0]}", [
        *fixed,
        *places,
        *(f"{name}={port}" for name, port in zip(named, ports, strict=True)),
    ]


def _make_bucket(s3: Any, bucket: str, process: subprocess.Popen[str], log: Path) -> None:
    """Return when an object can be put, which needs all parts of the server."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (slow to import)

    deadline = time.monotonic() + _START_S
    while True:
        try:
            if bucket not in {one["Name"] for one in s3.list_buckets()["Buckets"]}:
                s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key=".ready", Body=b"")
            s3.delete_object(Bucket=bucket, Key=".ready")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace")[-2000:]
                raise PreflightError(f"the S3 server does not answer ({error}); the end of {log}: {end}") from error
            time.sleep(0.2)
        else:
            return


def _make_certificate(path: Path) -> Any:
    """A new key; its certificate, which is signed by itself, is written to a file."""
    from cryptography import x509  # noqa: PLC0415 (an extra)
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return key
