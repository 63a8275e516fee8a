"""Object stores and queues on this machine, to test and to measure with: VersityGW (S3 that notifies over Kafka or by
webhook) and ministack (S3 and SQS). Loopback only; nothing of it outlives its `with`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from processor.core.errors import HeadraceError

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw"
VERSITYGW_VERSION = "v1.7.0"
CACHE = Path(".cache/versitygw")
#: 80 modules from the network, then minutes of compiling on a small machine.
BUILD_LIMIT_SEC = 600.0
READY_LIMIT_SEC = 30.0
STOP_LIMIT_SEC = 5.0
LOOPBACK = "127.0.0.1"
#: Of servers that anybody on this machine may use, so no secrets.
ACCESS_KEY, SECRET_KEY, REGION = "headrace-test", "headrace-test-secret", "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": REGION}


class StoreMissing(HeadraceError):
    """A store to test with cannot be had on this machine."""


class StoreNotReady(HeadraceError):
    """A store to test with did not get ready."""


def built_versitygw(cache: Path = CACHE) -> Path:
    """The program; built on first use, which says so and takes minutes. Raises StoreMissing."""
    program = cache.absolute() / VERSITYGW_VERSION / "versitygw"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise StoreMissing("there is no `go` to build VersityGW with", remedy="Install Go 1.25 or newer.")
    print(f"building VersityGW {VERSITYGW_VERSION}, once ...", file=sys.stderr, flush=True)
    program.parent.mkdir(parents=True, exist_ok=True)
    # Under its name only when it is whole: others may look, or build, at the same time.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _run_go(["install", f"{VERSITYGW}@{VERSITYGW_VERSION}"], {"GOBIN": str(Path(folder).absolute())})
        os.replace(Path(folder) / "versitygw", program)
    return program


def _run_go(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    try:
        subprocess.run(
            ["go", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=BUILD_LIMIT_SEC,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        told = str(getattr(error, "stderr", "") or error)
        raise StoreMissing(f"VersityGW was not built: {told[-1000:]}", remedy="Check the network for Go.") from error


class Server:
    """A process with an HTTP address, which can be started and stopped again at the same address."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, port: int, log: Path) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self._command = list(command)
        self._environment = dict(environment)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers. Raises StoreNotReady."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + READY_LIMIT_SEC
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StoreNotReady(self._log.read_text("utf-8", "replace")[-1000:])
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT_SEC)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=2).close()  # noqa: S310  # our own address
        except urllib.error.HTTPError as error:  # an answer all the same
            error.close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def versitygw(folder: Path, *, brokers: str = "", topic: str = "", webhook: str = "", cache: Path = CACHE) -> Server:
    """Tells of its changes on a topic that has been created, or by POST. Raises StoreMissing, StoreNotReady."""
    if brokers:
        _await_topic(brokers, topic)
    for name in ("objects", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    channel = ["--event-kafka-url", brokers, "--event-kafka-topic", topic] if brokers else []
    channel += ["--event-webhook-url", webhook] if webhook else []
    command = [str(built_versitygw(cache)), "--quiet", "--port", f"{LOOPBACK}:{port}", *channel]
    command += ["posix", "--sidecar", str(folder / "metadata"), str(folder / "objects")]
    environment = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    return Server(command, environment, port=port, log=folder / "versitygw.log")


def _await_topic(brokers: str, topic: str) -> None:
    """A topic is created when the controller says so; the broker knows it a moment later. VersityGW does not wait."""
    admin = import_module("confluent_kafka.admin").AdminClient({"bootstrap.servers": brokers, "log_level": 0})
    deadline = time.monotonic() + READY_LIMIT_SEC
    while admin.list_topics(timeout=READY_LIMIT_SEC).topics.get(topic) is None:
        if time.monotonic() > deadline:
            raise StoreNotReady(f"the topic {topic} is not on {brokers}", remedy="Create it first.")
        time.sleep(0.05)


def ministack(folder: Path) -> Server:
    """S3 and SQS; remembers nothing over a stop."""
    (port,) = free_ports(1)
    environment = {
        **KEYS,
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": LOOPBACK,
        "SERVICES": "s3,sqs",
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(folder),
    }
    command = [sys.executable, "-c", "from ministack.app import main; main()"]
    return Server(command, environment, port=port, log=folder / "ministack.log")


def client(service: str, url: str) -> Any:
    """A boto3 client of one of these servers."""
    session: Any = import_module("boto3.session").Session
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY, "region_name": REGION}
    return session(**keys).client(service, endpoint_url=url)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
