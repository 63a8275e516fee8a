"""What a binding says about its source, with everything that was left out filled in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from triggers.abstract import Binding
from triggers.kafka.errors import NoBrokerNamed
from triggers.kafka.security import client_options


class Start(Enum):
    LATEST = "latest"
    EARLIEST = "earliest"
    TIME = "time"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Brokers, and how to be let in: `options` are keyword arguments of an aiokafka client."""

    bootstrap_servers: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSettings:
    cluster: Cluster
    topic: str
    group: str
    start: Start = Start.LATEST
    #: With Start.TIME.
    start_ms: int = 0


def source_settings(
    binding: Binding, source: Mapping[str, Any], *, home: Cluster | None, group_prefix: str
) -> SourceSettings:
    """source: the settings of a `kafka` binding, or `source.kafka` of a `storage` binding. home: this installation's
    brokers, where it has some. Raises NoBrokerNamed, SecretMissing, SecurityFilesUnusable.
    """
    start, start_ms = _start(str(source.get("start", "latest")))
    return SourceSettings(
        cluster=_cluster(source, home),
        topic=str(source["topic"]),
        group=str(source.get("group") or default_group(binding, str(source["topic"]), group_prefix)),
        start=start,
        start_ms=start_ms,
    )


#: What a `storage` trigger filters by. Nothing else may change its group: a new one begins at `start`, and skips what
#: stands before that.
_FILTERS = ("bucket", "events", "prefix", "suffix")


def default_group(binding: Binding, topic: str, prefix: str) -> str:
    """headrace.FUNCTION.TOPIC, behind the installation's prefix. Two `storage` triggers of one function must not share
    the records of a topic, each would ignore what the other filters for: theirs ends in a digest of their
    filters.
    """
    name = f"{prefix}headrace.{binding.function}.{topic}"
    if binding.kind == "kafka":
        return name
    own = {key: binding.settings.get(key) for key in _FILTERS}
    return f"{name}.{hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]}"


def _cluster(source: Mapping[str, Any], home: Cluster | None) -> Cluster:
    servers = source.get("bootstrap_servers")
    if servers:
        return Cluster(bootstrap_servers=str(servers), options=client_options(source.get("security"), os.environ))
    if home is None:
        raise NoBrokerNamed
    return home


def _start(text: str) -> tuple[Start, int]:
    """Times are RFC 3339, or Unix milliseconds."""
    if text in ("latest", "earliest"):
        return Start(text), 0
    if text.isdecimal():
        return Start.TIME, int(text)
    return Start.TIME, int(datetime.fromisoformat(text).timestamp() * 1000)
