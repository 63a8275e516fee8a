"""Where a benchmark runs: all roles on one embedded log, or five of them on a broker."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from processor.core.errors import HeadraceError
from processor.ops.processes import Role, headrace

MANIFEST = Path(__file__).parent / "functions" / "functions.yaml"
READY_SEC = 60.0
#: Gives the brokers to measure on instead of one of our own.
BROKERS_VARIABLE = "HEADRACE_BENCH_KAFKA"
LAUNCHER = Path("deploy/kafka/broker.py")


class NoBroker(HeadraceError):
    """There is no broker to measure on."""

    remedy = f"Run it in a checkout of the project, or set {BROKERS_VARIABLE}=host:port."


@dataclass(slots=True)
class Site:
    """A running installation, its settings and its roles by name."""

    kind: str
    environment: dict[str, str]
    folder: Path
    port: int = 0
    roles: dict[str, Role] = field(default_factory=dict)

    def command(self, *arguments: str) -> str:
        return headrace(arguments, {**self.environment, "HEADRACE_GATEWAY__PORT": str(self.port)})

    def deploy(self) -> None:
        self.command("deploy", "--functions", str(MANIFEST))

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=70)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, orjson.loads(response.read() or b"null")
        finally:
            connection.close()

    def invoke(self, function: str, data: object) -> str:
        status, answer = self.request("POST", f"/v1/functions/{function}/invocations", orjson.dumps(data))
        if status != 202:
            raise HeadraceError(f"{function} was not accepted: {status} {answer}")
        return str(answer["request_id"])

    def stop(self) -> None:
        for role in reversed(self.roles.values()):
            role.stop()


@contextmanager
def broker() -> Iterator[str]:
    """The address of the brokers to measure on; one of our own is started, and ended afterwards."""
    given = os.environ.get(BROKERS_VARIABLE)
    if given:
        yield given
        return
    if not LAUNCHER.exists():
        raise NoBroker
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(LAUNCHER), "run", "--port", "0", "--data", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield next(line.split(" ")[-1].strip() for line in process.stdout if line.startswith("ready kafka"))
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


@contextmanager
def on_kafka(brokers: str, roles: Sequence[str], *, folder: Path | None = None) -> Iterator[Site]:
    """An installation of its own (a fresh topic prefix) with these roles."""
    with ExitStack() as stack:
        path = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site("Kafka", kafka_environment(brokers, f"bench{time.time_ns():x}.", path), path)
        stack.callback(site.stop)
        site.command("topics", "init")
        start_roles(site, *roles)
        yield site


def start_roles(site: Site, *names: str) -> None:
    for name in names:
        _start_role(site, name)


def _start_role(site: Site, name: str) -> None:
    role = Role(["start", name], site.environment, site.folder / f"{name}.log")
    site.roles[name] = role
    line = role.wait_for(f"ready {name}", READY_SEC)
    if name == "gateway":
        site.port = int(line.rpartition(":")[2])


def kafka_environment(brokers: str, prefix: str, folder: Path) -> dict[str, str]:
    return {
        "HEADRACE_TRANSPORT": "kafka",
        "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": brokers,
        "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
        **_common(folder),
    }


@contextmanager
def embedded(*, folder: Path | None = None) -> Iterator[Site]:
    """All roles in one process, as `headrace dev` runs them."""
    with ExitStack() as stack:
        path = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site("embedded", _common(path), path)
        stack.callback(site.stop)
        role = Role(
            ["dev", "--functions", str(MANIFEST), "--data", str(path / "data"), "--port", "0", "--no-open"],
            site.environment,
            path / "dev.log",
        )
        site.roles["dev"] = role
        site.port = int(role.wait_for("ready gateway", READY_SEC).rpartition(":")[2])
        role.wait_for("ready dev", READY_SEC)
        yield site


def _common(folder: Path) -> dict[str, str]:
    return {
        "HEADRACE_DATA_DIR": str(folder / "data"),
        "HEADRACE_EXECUTOR__SLOTS": "2",
        "HEADRACE_GATEWAY__PORT": "0",
        "HEADRACE_LOG__LEVEL": "WARNING",
    }


def limit_script(limits: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a limit script of the given folder printed, run now, on this box."""
    done = subprocess.run(
        [sys.executable, str(limits / name), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout
