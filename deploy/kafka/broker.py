"""A local Apache Kafka for users and tests: plain JVMs on 127.0.0.1, without Docker.

    python deploy/kafka/broker.py run --nodes 3

Imports the standard library only, so that it runs before anything is installed and inside any test.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import random
import signal
import socket
import string
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

if not __package__:  # run as a script: the project is not on the path yet
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.kafka.errors import BrokerError, NodeFailed, PortInUse, WrongData
from deploy.kafka.java import CACHE, Java
from deploy.kafka.process import TiedProcess, dying

HERE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 9092

TOOL_LIMIT_SEC = 60.0  # one JVM that formats a folder or tells its version
READY_LIMIT_SEC = 60.0  # takes 2 s for one node, 5 s for three; the rest is for a busy machine
STOP_LIMIT_SEC = 10.0  # asked to stop; then killed, which a Kafka log survives
KILL_LIMIT_SEC = 60.0  # a start right after it would do nothing while the old process is still there
POLL_SEC = 0.05

STARTED_MARK = b"Kafka Server started"  # logged once the node is unfenced, that is, serves clients


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: old connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Below the range of outgoing connections: one of those could take a killed node's port before its restart."""
    candidates = random.SystemRandom().sample(range(20_000, 32_000), 500)
    ports = [port for port in candidates if is_free(port)][:count]
    if len(ports) < count:
        raise PortInUse(f"{LOOPBACK}:20000-32000")
    return ports


def settings(*, nodes: int, **names: object) -> dict[str, str]:
    """The settings of one node out of the template files; `names` are the template's (node_id, voters, port ...)."""
    files = (HERE / "server.properties", HERE / ("one-node.properties" if nodes == 1 else "three-nodes.properties"))
    text = string.Template("\n".join(file.read_text() for file in files)).substitute(names)
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


class Node:
    """One broker and controller; may be killed, paused and started again while the others run."""

    def __init__(
        self, *, java: Java, node_id: int, port: int, folder: Path, cluster_id: str, config: Mapping[str, str]
    ) -> None:
        self.node_id, self.port, self.folder, self.cluster_id = node_id, port, folder, cluster_id
        self._java = java
        self.log_file = folder / "broker.log"
        self.config = config
        self._config_file = folder / "server.properties"
        self._process: TiedProcess | None = None
        self._log_start_bytes = 0

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.popen.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.popen.poll() is None

    def start(self) -> None:
        """Formats the folder the first time (blocks about a second) and starts the JVM. No effect while it runs."""
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config_file.write_text("".join(f"{key}={value}\n" for key, value in self.config.items()))
        if not Path(self.config["log.dirs"], "meta.properties").exists():
            self._format()
        self._log_start_bytes = self.log_file.stat().st_size if self.log_file.exists() else 0
        command = self._java.command("kafka.Kafka", str(self._config_file))
        self._process = TiedProcess(command, cwd=self.folder, output=self.log_file)

    def wait_ready(self, timeout_sec: float = READY_LIMIT_SEC) -> None:
        """Blocks until the node serves clients; raises NodeFailed."""
        deadline = time.monotonic() + timeout_sec
        while STARTED_MARK not in (log := self._log()):
            if not self.running or time.monotonic() > deadline:
                raise NodeFailed(f"node {self.node_id} {self.log_file}\n{_tail(log)}")
            time.sleep(POLL_SEC)

    def stop(self) -> None:
        """Asks the node to end, also when it is paused; does not wait."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def join(self, timeout_sec: float = STOP_LIMIT_SEC) -> bool:
        """Waits for the end; False if it still runs."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.popen.wait(timeout_sec)
        return not self.running

    def kill(self) -> None:
        """As a power cut to the process: SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self.join(KILL_LIMIT_SEC)

    def restart(self, timeout_sec: float = READY_LIMIT_SEC) -> None:
        self.kill()
        self.start()
        self.wait_ready(timeout_sec)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def send(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.popen.send_signal(signum)

    def _log(self) -> bytes:
        with self.log_file.open("rb") as file:
            file.seek(self._log_start_bytes)
            return file.read()

    def _format(self) -> None:
        arguments = ("format", "--cluster-id", self.cluster_id, "--config", str(self._config_file))
        command = self._java.command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(dying(command), capture_output=True, timeout=TOOL_LIMIT_SEC, check=False)
        if done.returncode != 0:
            raise NodeFailed(f"node {self.node_id} formatting\n{_tail(done.stdout + done.stderr)}")


def _tail(log: bytes, lines: int = 15) -> str:
    return "\n".join(log.decode(errors="replace").splitlines()[-lines:])


class LocalKafka:
    """One or three nodes over a data folder: a later start over the same folder continues with its data.

    `port` 0 takes free ones; else the nodes listen on port, port + 1, ... `extra` overrides broker settings.
    """

    def __init__(
        self, *, data_dir: Path, nodes: int = 1, port: int = 0, extra: Mapping[str, str] | None = None
    ) -> None:
        if nodes not in (1, 3):
            raise ValueError(f"nodes must be 1 or 3, not {nodes}")
        self.data_dir = data_dir.absolute()
        ports = [port + i for i in range(nodes)] if port else []
        if taken := [port for port in ports if not is_free(port)]:
            raise PortInUse(", ".join(f"{LOOPBACK}:{port}" for port in taken))
        chosen = free_ports(nodes * 2 - len(ports))
        self.nodes = self._plan([*ports, *chosen][:nodes], chosen[-nodes:], extra or {})

    def _plan(self, ports: list[int], controller_ports: list[int], extra: Mapping[str, str]) -> tuple[Node, ...]:
        cluster_id = _cluster_id(self.data_dir, nodes=len(ports))
        voters = ",".join(f"{i}@{LOOPBACK}:{port}" for i, port in enumerate(controller_ports, 1))
        java, nodes = Java(), []
        for i, (port, controller_port) in enumerate(zip(ports, controller_ports, strict=True), 1):
            folder = self.data_dir / f"node-{i}"
            names = {"node_id": i, "port": port, "controller_port": controller_port, "log_dir": folder / "log"}
            config = {**settings(nodes=len(ports), voters=voters, **names), **extra}
            nodes.append(Node(java=java, node_id=i, port=port, folder=folder, cluster_id=cluster_id, config=config))
        return tuple(nodes)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def node(self, node_id: int) -> Node:
        """Nodes count from 1, as in the settings."""
        return self.nodes[node_id - 1]

    def start(self) -> None:
        """Starts all nodes and does not wait for them to serve; fetches the libraries the first time."""
        for node in self.nodes:
            node.start()

    def wait_ready(self, timeout_sec: float = READY_LIMIT_SEC) -> None:
        """Blocks until every node serves clients; raises NodeFailed."""
        deadline = time.monotonic() + timeout_sec
        for node in self.nodes:
            node.wait_ready(max(0.0, deadline - time.monotonic()))

    def stop(self, timeout_sec: float = STOP_LIMIT_SEC) -> None:
        """Asks all nodes to end, kills those that have not ended in time, and waits for their end."""
        for node in self.nodes:
            node.stop()
        deadline = time.monotonic() + timeout_sec
        for node in self.nodes:
            node.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Ends all nodes now; for data that is not needed any more, and for tests of exactly this."""
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def _cluster_id(data_dir: Path, *, nodes: int) -> str:
    file = data_dir / "cluster.json"
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"nodes": nodes, "cluster_id": _new_cluster_id()}))
    known = json.loads(file.read_text())
    if known["nodes"] != nodes:
        raise WrongData(f"{data_dir} has {known['nodes']}")
    return str(known["cluster_id"])


def _new_cluster_id() -> str:
    cluster_id = "-"
    while cluster_id.startswith("-"):  # the format command would take it for an option
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster_id


def run(*, nodes: int, port: int, data_dir: Path) -> int:
    """In the foreground until SIGINT or SIGTERM, or until no node is left."""
    # Both explicitly: whoever was started in the background by a shell has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kafka = LocalKafka(data_dir=data_dir, nodes=nodes, port=port)
    try:
        with kafka:
            for node in kafka.nodes:
                print(f"node {node.node_id} {node.address} pid {node.pid} log {node.log_file}")
            print(f"ready kafka {kafka.bootstrap_servers}", flush=True)
            _watch(kafka.nodes)
    except KeyboardInterrupt:
        return 0
    return 1


def _watch(nodes: Sequence[Node]) -> None:
    running = list(nodes)
    while running:
        for node in [node for node in running if not node.running]:
            print(f"node {node.node_id} has ended, see {node.log_file}", file=sys.stderr, flush=True)
            running.remove(node)
        time.sleep(POLL_SEC)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="broker.py", description=(__doc__ or "").splitlines()[0])
    command = parser.add_subparsers(required=True).add_parser("run", help="run in the foreground; Ctrl-C stops")
    command.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help="first node's; the next ones follow")
    command.add_argument("--data", type=Path, help="folder, kept; default .cache/kafka/data-<nodes> of the project")
    asked = parser.parse_args(arguments)
    try:
        return run(nodes=asked.nodes, port=asked.port, data_dir=asked.data or CACHE / f"data-{asked.nodes}")
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
