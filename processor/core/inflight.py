"""Records of the small topics that say who holds what: `inflight`, `instances`, `queues`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import orjson

from processor.core.errors import Undecodable
from processor.core.run import Delivery
from processor.core.waits import Wait, WaitReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """An executor is about to commit, or has committed, a claim of this delivery. Open until its tombstone."""

    executor: str
    request_id: str
    function: str
    delivery: Delivery
    batch: int
    #: Its executor lives and gave the claim up, since nobody could tell how its commit ended: it will never start it,
    #: and recovery decides (DESIGN 5.3c).
    abandoned: bool = False

    @property
    def key(self) -> bytes:
        return intent_key(self.executor, self.request_id, self.delivery)

    def encode(self) -> bytes:
        intent = (self.executor, self.request_id, self.function, str(self.delivery), self.batch)
        return orjson.dumps((*intent, True) if self.abandoned else intent)

    @classmethod
    def decode(cls, value: bytes) -> Intent:
        """Raises Undecodable."""
        try:
            executor, request_id, function, delivery, batch, *more = orjson.loads(value)
            return cls(
                executor=executor,
                request_id=request_id,
                function=function,
                delivery=Delivery.parse(delivery),
                batch=batch,
                abandoned=bool(more and more[0]),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise Undecodable(f"not an intent: {error}") from error


def intent_key(executor: str, request_id: str, delivery: Delivery) -> bytes:
    return f"{executor} {request_id} {delivery}".encode()


def executor_partition(executor: str, partitions: int) -> int:
    """All intents of one executor stand in one partition, so that recovery reads one."""
    return zlib.crc32(executor.encode()) % partitions


def executor_id(name: str, incarnation: str) -> str:
    return f"{name}#{incarnation}"


def executor_name(executor: str) -> str:
    return executor.rpartition("#")[0]


class SignKind(Enum):
    HEARTBEAT = "heartbeat"
    #: Written by recovery before it closes anything: from here on nothing of this process may start.
    DEAD = "dead"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """A record of `instances`. A process (executor, gateway, recovery) lives, or was declared dead."""

    kind: SignKind
    process: str
    role: str
    at_ms: int
    #: Of an executor's heartbeat: it claims; it could start one more run; why what it owns waits, by function.
    serving: bool = True
    room: bool = True
    waits: Mapping[str, Wait] = field(default_factory=dict)
    #: Executors of its name in a row that died young, should it die now; 0 from when it has proved itself.
    young_deaths: int = 0
    #: Runs that hold a part of their function's concurrency there for long, by queue partition ("queue.f.1/0").
    held: Mapping[str, int] = field(default_factory=dict)
    #: Of a mark: who wrote it; and the offset of the last heartbeat before the silence, where silence was the reason.
    by: str = ""
    after: int | None = None

    @property
    def key(self) -> bytes:
        # Marks and beats have keys of their own: compaction must never let a late beat erase a mark.
        return f"{self.kind.value} {self.process}".encode()

    def encode(self) -> bytes:
        sign = (self.kind.value, self.process, self.role, self.at_ms)
        if self.kind is SignKind.DEAD:
            return orjson.dumps((*sign, {"by": self.by, "after": self.after}))
        if self.serving and self.room and not (self.waits or self.young_deaths or self.held):
            return orjson.dumps(sign)
        waits = {name: (wait.reason.value, wait.running, wait.limit) for name, wait in self.waits.items()}
        load = {
            "serving": self.serving,
            "room": self.room,
            "waits": waits,
            "young_deaths": self.young_deaths,
            "held": self.held,
        }
        return orjson.dumps((*sign, load))

    @classmethod
    def decode(cls, value: bytes) -> Sign:
        """Raises Undecodable. What a newer version may add at the end is passed over: whether a process lives must not
        hang on it.
        """
        try:
            kind, process, role, at_ms, *more = orjson.loads(value)
            load = more[0] if more else {}
            return cls(
                kind=SignKind(kind),
                process=process,
                role=role,
                at_ms=at_ms,
                serving=load.get("serving", True),
                room=load.get("room", True),
                waits=_waits(load.get("waits", {})),
                young_deaths=load.get("young_deaths", 0),
                held=load.get("held", {}),
                by=load.get("by", ""),
                after=load.get("after"),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise Undecodable(f"not a life sign: {error}") from error


def _waits(document: dict[str, Any]) -> dict[str, Wait]:
    known = {each.value for each in WaitReason}
    return {
        name: Wait(WaitReason(reason), running, limit)
        for name, (reason, running, limit, *_) in document.items()
        if reason in known
    }


def opened_key(topic: str, partition: int) -> bytes:
    """Key on `queues`: the partition had a first owner; a missing committed offset is an error from then on."""
    return f"{topic}/{partition}".encode()
