"""An installation on Kafka: every role a process of its own."""

from __future__ import annotations

import signal
from pathlib import Path

from processor.core.ledger import Ended
from processor.ops.processes import Role, headrace
from processor.transport.kafka import KafkaTransport
from tests.acceptance.callers import verdicts

#: In the order of their start.
ROLES = ("recorder", "dispatcher", "executor", "gateway", "triggers")
READY_SEC = 40.0


class Site:
    """One installation of its own on the broker: its settings, its roles, its evidence."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.uploads = folder / "uploads"
        self.uploads.mkdir()
        self.bootstrap, self.prefix = bootstrap, prefix
        self.environment = {
            "HEADRACE_TRANSPORT": "kafka",
            "HEADRACE_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "HEADRACE_KAFKA__TOPIC_PREFIX": prefix,
            "HEADRACE_DATA_DIR": str(folder / "data"),
            "HEADRACE_EXECUTOR__SLOTS": "4",
            "HEADRACE_GATEWAY__PORT": "0",
        }
        self.roles: dict[str, Role] = {}
        self.port = 0

    def start(self, name: str) -> None:
        role = Role(["start", name], self.environment, self.folder / f"{name}.log")
        self.roles[name] = role
        line = role.wait_for(f"ready {name}", READY_SEC)
        if name == "gateway":
            self.port = int(line.rpartition(":")[2])
            self.environment["HEADRACE_GATEWAY__PORT"] = str(self.port)

    def command(self, *arguments: str) -> str:
        return headrace(arguments, self.environment)

    def kill(self, name: str) -> None:
        self.roles[name].send(signal.SIGKILL)
        self.roles[name].stop()

    def stop(self) -> None:
        for role in reversed(self.roles.values()):
            role.stop()

    def verdicts(self) -> dict[str, list[Ended]]:
        with KafkaTransport(bootstrap_servers=self.bootstrap, topic_prefix=self.prefix) as transport:
            return verdicts(transport)
