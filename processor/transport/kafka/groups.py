"""Which group protocol a member speaks, and how soon a dead one is noticed (DESIGN 6, Groups)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from processor.transport.abstract import TransportError
from processor.transport.kafka.settings import Value

Wanted = Literal["auto", "consumer", "classic"]

#: The longest a dead member may hold its partitions under `auto`.
LONGEST_SESSION_MS = 10_000
#: How often a member asks for changes: a new topic is assigned about one heartbeat after it is subscribed.
HEARTBEAT_MS = 1_000

_SESSION = "group.consumer.session.timeout.ms"
_HEARTBEAT = "group.consumer.heartbeat.interval.ms"
#: First in 4.3, whose coordinator no longer refuses commits while members come and go.
_NEW_IN_4_3 = "group.consumer.assignment.interval.ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupProtocol:
    """group_config is what must be set on the group itself, because the broker's defaults are slower."""

    settings: dict[str, Value]
    group_config: dict[str, str]


def choose(wanted: Wanted, session_timeout_ms: int, broker: Mapping[str, str]) -> GroupProtocol:
    """broker: the broker's own configuration. Raises TransportError when it cannot do what is wanted."""
    if wanted == "classic" or (wanted == "auto" and not _is_fast_enough(session_timeout_ms, broker)):
        return _classic(session_timeout_ms)
    if _SESSION not in broker:
        raise TransportError("this broker has no consumer group protocol (KIP-848); use group_protocol classic")
    return _consumer(session_timeout_ms, broker)


def _is_fast_enough(session_timeout_ms: int, broker: Mapping[str, str]) -> bool:
    return _NEW_IN_4_3 in broker and _session_ms(session_timeout_ms, broker) <= LONGEST_SESSION_MS


def _classic(session_timeout_ms: int) -> GroupProtocol:
    settings: dict[str, Value] = {
        "group.protocol": "classic",
        "session.timeout.ms": session_timeout_ms,
        "heartbeat.interval.ms": min(HEARTBEAT_MS, session_timeout_ms // 3),
    }
    return GroupProtocol(settings=settings, group_config={})


def _consumer(session_timeout_ms: int, broker: Mapping[str, str]) -> GroupProtocol:
    wanted = {
        "consumer.session.timeout.ms": (_session_ms(session_timeout_ms, broker), broker[_SESSION]),
        "consumer.heartbeat.interval.ms": (_within(HEARTBEAT_MS, _HEARTBEAT, broker), broker[_HEARTBEAT]),
    }
    config = {name: str(value) for name, (value, default) in wanted.items() if value < int(default)}
    return GroupProtocol(settings={"group.protocol": "consumer"}, group_config=config)


def _session_ms(session_timeout_ms: int, broker: Mapping[str, str]) -> int:
    return _within(session_timeout_ms, _SESSION, broker)


def _within(value: int, name: str, broker: Mapping[str, str]) -> int:
    low, high = (int(broker[name.replace("group.consumer.", f"group.consumer.{end}.")]) for end in ("min", "max"))
    return max(low, min(high, value))
