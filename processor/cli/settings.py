"""What can be set, with its default and its limits. How values are found: `layers`."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")
#: Who listens on every address is reached on this one from the same machine.
LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # nothing is bound here


def about(text: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    """What a setting means, shown by `headrace config show`; low, high: for numbers, both included."""
    return {"about": text, "low": low, "high": high}


def setting(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata=about(text, low, high))


def computed(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    """default: a function of no arguments."""
    return field(default_factory=default, metadata=about(text, low, high))


def default_executor_name() -> str:
    """The host's name: one executor of a name per host may live at a time, and it must stay the same over restarts."""
    return socket.gethostname().partition(".")[0] or "executor"


def default_slots() -> int:
    return max(os.cpu_count() or 1, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSettings:
    bootstrap_servers: str = setting("127.0.0.1:9092", "brokers, as host:port,host:port")
    topic_prefix: str = setting("", "put before every topic and group name: several installations on one cluster")
    group_protocol: Literal["auto", "consumer", "classic"] = setting("auto", "consumer = KIP-848; auto asks the broker")
    session_timeout_sec: float = setting(6.0, "how soon a dead member is noticed", low=1, high=10)
    replication_factor: int | None = setting(None, "of new topics; left out: the broker's default", low=1, high=32767)
    start_limit_sec: float = setting(60.0, "how long a role waits for the brokers when it starts", low=0, high=86_400)
    security: Mapping[str, str] = computed(
        dict, "SASL and TLS, in librdkafka's names: security.protocol, sasl.*, ssl.*"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class HistorySettings:
    url: str = setting(
        "", "sqlite:///PATH or postgresql://USER@HOST/DATABASE of the history; empty: history.db below data_dir"
    )
    log_days: int = setting(7, "whole days that log lines are kept for", low=3, high=3_650)
    run_days: int = setting(30, "whole days that runs are kept for after their end", low=3, high=3_650)


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewaySettings:
    host: str = setting("127.0.0.1", "address the HTTP API listens on")
    port: int = setting(8787, "port of the HTTP API; 0 takes any free one", low=0, high=65_535)
    url: str = setting("", "where the command line finds the gateway; empty: host and port above")

    @property
    def client_url(self) -> str:
        if self.url:
            return self.url.rstrip("/")
        host = LOOPBACK_OF.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorRoleSettings:
    name: str = computed(default_executor_name, "name of this executor; must stay the same over restarts")
    slots: int = computed(default_slots, "runs at the same time on this executor", low=1, high=10_000)
    max_instances: int | None = setting(None, "living instances, idle ones included; left out: twice the slots", low=1)
    isolation_limit_sec: float = setting(60.0, "an executor cut off from the brokers kills its runs after", low=10)
    containment: Literal["auto", "cgroup", "sweep"] = setting("auto", "how all processes of an instance are found")
    max_processes: int = setting(1_024, "processes, or threads, of one instance at the same time", low=8)
    drain_limit_sec: float = setting(90_000.0, "a stopping executor waits this long for its runs", low=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderSettings:
    settle_sec: float = setting(0.5, "a file that a reading finds must be unchanged for this long", low=0, high=3_600)
    rescan_sec: float = setting(300.0, "how often a watched folder is read whole, for what nobody told us", low=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TriggersSettings:
    host: str = setting("127.0.0.1", "address that http triggers and webhooks are called at")
    port: int | None = setting(
        None, "port of the same; left out: the one after the gateway's (8788); 0 takes any free one", low=0, high=65_535
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", "what a role writes to standard error")
    format: Literal["text", "json"] = setting("text", "json: one object per line")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    transport: Literal["embedded", "kafka"] = setting("embedded", "embedded: one process, no broker")
    data_dir: Path = field(default=Path(".headrace"), metadata=about("everything Headrace keeps on this machine"))
    functions: Path = field(default=Path("functions.yaml"), metadata=about("the manifest that `dev` and `deploy` read"))
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    executor: ExecutorRoleSettings = field(default_factory=ExecutorRoleSettings)
    folder: FolderSettings = field(default_factory=FolderSettings)
    triggers: TriggersSettings = field(default_factory=TriggersSettings)
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def state_dir(self) -> Path:
        """For what belongs to one installation, and would be wrong in another: offsets, accepted files, name locks."""
        if self.transport == "embedded":
            return self.data_dir
        prefix = self.kafka.topic_prefix.strip(".")
        return self.data_dir / (f"kafka-{prefix}" if prefix else "kafka")

    @property
    def listener_port(self) -> int:
        """Follows the gateway's, so that two installations on one machine need to be told only one port each."""
        if self.triggers.port is not None:
            return self.triggers.port
        gateway = self.gateway.port
        return gateway + 1 if 0 < gateway < 65_535 else 0

    @property
    def history_path(self) -> Path:
        """Of a history in SQLite."""
        return Path(self.history.url.removeprefix(SQLITE)) if self.history.url else self.state_dir / "history.db"


#: A name of a setting that holds a secret: its value is never shown.
SECRET_PARTS = ("password", "secret", "token")
#: The same as a parameter of an address.
_SECRET_PARAMETER = re.compile(rf"([?&][^=&]*(?:{'|'.join(SECRET_PARTS)})[^=&]*=)[^&]*", re.IGNORECASE)


def shown(name: str, value: object) -> str:
    """A setting's value for people, secrets masked: those with a telling name, and passwords inside addresses."""
    text = "" if value is None else str(value)
    if any(part in name for part in SECRET_PARTS):
        return "********" if text else ""
    text = _SECRET_PARAMETER.sub(r"\1********", text) if "://" in text else text
    scheme, separator, rest = text.partition("://")
    if separator and "@" in rest and ":" in rest.partition("@")[0]:
        user = rest.partition(":")[0]
        return f"{scheme}://{user}:********@{rest.rpartition('@')[2]}"
    return text
