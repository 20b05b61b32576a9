"""`python -m pipeline.events.local_stack`: bucket, topic and queue on this machine, and a listener that they reach.

What is put into the bucket is told to the topic, which posts it to the listener, signed, and puts it into the queue as
well: the same event comes twice, and its work is done once. Ctrl-C ends all of it; the folder keeps the objects, the
inbox and the results.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.checks.place import result_key
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, GroundswellError, PreflightError
from pipeline.events import local_parts
from pipeline.events.local_parts import KEY, REGION, SECRET, Watcher, child, client

BUCKET: Final = "arrivals"
RULE: Final = "files"
_PROGRAM: Final = "python -m pipeline.events.local_stack"
_FOLDER: Final = Path("local-stack")
_ADDRESSES: Final = "addresses.json"
_LISTENER_STOP_S: Final = 70.0
_RESULT_S: Final = 60.0
_SAMPLE: Final = "station,time,temp\nA,2026-01-01T00:00:00Z,3.5\nA,2026-01-01T06:00:00Z,4.25\nB,2026-01-01T00:00:00Z,\n"
_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Nothing of the stack ever meets a user's own account."""
_OTHERS: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "LOCAL_S3_ROOT",
)


@dataclass(frozen=True)
class Addresses:
    """Where the parts are."""

    s3: str
    sns_and_sqs: str
    topic: str
    queue: str
    listener: str
    config: str
    output: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack, or put a file into its bucket; returns the exit code (see `pipeline.errors`)."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Run all that events need on this machine.")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help=f"where it keeps everything (default: {_FOLDER})")
    verbs = parser.add_subparsers(dest="verb")
    put = verbs.add_parser("put", help="put a file into the bucket, and wait for the result of its check")
    put.add_argument("file", metavar="FILE", type=Path, nargs="?", help="default: a small table")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        return put_file(options.folder, options.file) if options.verb == "put" else run(options.folder)
    except GroundswellError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (a program of its own)
        return error.exit_code


def run(folder: Path) -> int:
    """The stack until SIGINT or SIGTERM. Raises PreflightError where a part of it is missing or does not start."""
    ended = threading.Event()
    with _alone(folder):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        for name in _OTHERS:
            os.environ.pop(name, None)
        os.environ.update(_ENVIRONMENT | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"})
        with started(folder) as (addresses, listener):
            _say(addresses, folder)
            while not ended.wait(0.5):
                if listener.poll() is not None:
                    print(f"error: the listener ended with {listener.returncode}", file=sys.stderr)  # noqa: T201
                    return EXIT_JOBS_FAILED
    return EXIT_DONE


@contextlib.contextmanager
def started(folder: Path) -> Iterator[tuple[Addresses, subprocess.Popen[str]]]:
    """All parts, wired; ended in the other order."""
    with contextlib.ExitStack() as stack:
        pem = folder / "sns.pem"
        aws = stack.enter_context(local_parts.run_sns_and_sqs(pem))
        s3 = stack.enter_context(local_parts.run_s3(folder / "s3", BUCKET))
        sns, sqs = client("sns", aws), client("sqs", aws)
        topic: str = sns.create_topic(Name="arrivals")["TopicArn"]
        queue, queue_arn = _make_queue(sqs)
        output, config = folder.resolve() / "output", folder / "events.yaml"
        wired = {"topic": topic, "s3": s3, "pem": pem.name, "queue": queue, "aws": aws, "output": output}
        config.write_text(_CONFIG.format(**wired, region=REGION))
        listener, url = stack.enter_context(_listener(config))
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
        addresses = Addresses(s3, aws, topic, queue, url, str(config), str(output))
        (folder / _ADDRESSES).write_text(json.dumps(asdict(addresses), indent=2))
        stack.callback((folder / _ADDRESSES).unlink)
        stack.enter_context(contextlib.closing(Watcher(client("s3", s3), BUCKET, sns, topic)))
        yield addresses, listener


def put_file(folder: Path, file: Path | None) -> int:
    """Put a file into the bucket of a stack that runs, and say what came of it."""
    path = folder / _ADDRESSES
    if not path.is_file():
        raise PreflightError(f"{path}: no such file; expected a stack that runs: {_PROGRAM} --folder {folder}")
    addresses = Addresses(**json.loads(path.read_text()))
    key = f"{time.time_ns()}.csv" if file is None else file.name
    try:
        body = _SAMPLE.encode() if file is None else file.read_bytes()
    except OSError as error:
        raise PreflightError(f"{file}: {error.strerror}; expected a file to put") from error
    etag = _put(addresses.s3, key, body)
    print(f"put s3://{BUCKET}/{key}", flush=True)  # noqa: T201
    result = Path(addresses.output) / result_key(RULE, BUCKET, key)
    deadline = time.monotonic() + _RESULT_S
    while time.monotonic() < deadline:
        if result.is_file():
            document = json.loads(result.read_text())
            if document["object"]["etag"] == etag:
                print(f"{document['verdict']}: {result}")  # noqa: T201
                return EXIT_DONE
        time.sleep(0.2)
    raise PreflightError(f"{result}: not there after {_RESULT_S:g} s; the stack's own terminal says why")


def _put(s3: str, key: str, body: bytes) -> str:
    """The ETag of what was put. Raises PreflightError."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (slow to import)

    try:
        etag: str = client("s3", s3).put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"]
    except (BotoCoreError, ClientError) as error:
        raise PreflightError(f"{error}; expected a stack that runs: its own terminal says whether it does") from error
    return etag.strip('"')


def _make_queue(sqs: Any) -> tuple[str, str]:
    """The address and ARN of a queue, with another for what nobody could do."""
    dead = sqs.create_queue(QueueName="arrivals-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    queue: str = sqs.create_queue(QueueName="arrivals", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return queue, arn


@contextlib.contextmanager
def _listener(config: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A listener with a consumer beside it, and where it listens."""
    command = [sys.executable, "-m", "pipeline.events.listener", str(config)]
    with child(command, _LISTENER_STOP_S, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line.startswith("listening on "):
            raise PreflightError("the listener did not start; what it said stands above")
        yield process, line.removeprefix("listening on ").strip()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raises PreflightError where another stack runs in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PreflightError(f"{folder}: a stack runs in it already; give another --folder") from error
        yield


def _say(addresses: Addresses, folder: Path) -> None:
    further = [] if folder == _FOLDER else ["--folder", str(folder)]
    command = " ".join([sys.executable, "-m", "pipeline.events.local_stack", *further, "put"])
    lines = (
        f"S3            {addresses.s3}   bucket {BUCKET}",
        f"SNS and SQS   {addresses.sns_and_sqs}",
        f"topic         {addresses.topic}",
        f"queue         {addresses.queue}",
        f"listener      {addresses.listener}",
        f"rules         {addresses.config}",
        f"results       {addresses.output}",
        f"credentials   AWS_ACCESS_KEY_ID={KEY} AWS_SECRET_ACCESS_KEY={SECRET} AWS_DEFAULT_REGION={REGION}",
        "Ctrl-C ends the stack. To publish a test event (put FILE: of a file of yours):",
        f"  {command}",
    )
    print("\n".join(lines), flush=True)  # noqa: T201


_CONFIG = """\
# Written anew whenever the stack starts: the addresses change. Copy it to change the rules.
name: local-stack
inbox: inbox.sqlite
topics: ["{topic}"]
buckets:
  arrivals: {{endpoint: "{s3}"}}
listen: {{port: 0, work: true}}
sns: {{certificate: {pem}}}               # moto signs by this; AWS is proven by its own authorities
queue:
  url: "{queue}"
  endpoint: "{aws}"
  region: {region}
  wait_s: 2
rules:
  files:
    match: {{bucket: arrivals}}
    check: {{}}                            # that it can be read, whatever it is
output: "{output}"
"""

if __name__ == "__main__":
    sys.exit(main())
