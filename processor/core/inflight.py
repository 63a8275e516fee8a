"""Records of the small topics that say who holds what: `inflight`, `instances`, `queues`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum

import orjson

from processor.core.errors import Undecodable
from processor.core.run import Delivery


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """An executor is about to commit, or has committed, a claim of this delivery. Open until its tombstone."""

    executor: str
    request_id: str
    function: str
    delivery: Delivery
    batch: int

    @property
    def key(self) -> bytes:
        return intent_key(self.executor, self.request_id, self.delivery)

    def encode(self) -> bytes:
        return orjson.dumps((self.executor, self.request_id, self.function, str(self.delivery), self.batch))

    @classmethod
    def decode(cls, value: bytes) -> Intent:
        """Raises Undecodable."""
        try:
            executor, request_id, function, delivery, batch = orjson.loads(value)
            return cls(
                executor=executor,
                request_id=request_id,
                function=function,
                delivery=Delivery.parse(delivery),
                batch=batch,
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

    @property
    def key(self) -> bytes:
        # Marks and beats have keys of their own: compaction must never let a late beat erase a mark.
        return f"{self.kind.value} {self.process}".encode()

    def encode(self) -> bytes:
        return orjson.dumps((self.kind.value, self.process, self.role, self.at_ms))

    @classmethod
    def decode(cls, value: bytes) -> Sign:
        """Raises Undecodable."""
        try:
            kind, process, role, at_ms = orjson.loads(value)
            return cls(kind=SignKind(kind), process=process, role=role, at_ms=at_ms)
        except (ValueError, TypeError) as error:
            raise Undecodable(f"not a life sign: {error}") from error


def opened_key(topic: str, partition: int) -> bytes:
    """Key on `queues`: the partition had a first owner; a missing committed offset is an error from then on."""
    return f"{topic}/{partition}".encode()
