"""The rules of a claim (DESIGN 5.3) as pure values: what to take, what to commit, what the result means."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import orjson

from processor.core.errors import HeadraceError, Undecodable
from processor.core.ledger import Position

#: (leader epoch, offset) of one intake partition.
Order = tuple[int, int]

#: Kafka's limit of commit metadata (offset.metadata.max.bytes), tried on 4.3.1: 4,095 accepted, 4,096 refused.
MAX_METADATA_BYTES = 4_095
#: So that the vector fits into the metadata (DESIGN 5.3a).
MAX_INTAKE_PARTITIONS = 128

#: Kafka header of a queue record that carries its Stamp and what the executor needs to know of the run.
STAMP_HEADER = "headrace"


class Stamp(NamedTuple):
    """What the dispatcher writes beside an event in its queue."""

    function: str
    version: str
    #: Which creation of the intake topic the positions belong to (base64 of its topic id).
    intake_id: str
    intake: Position
    #: The order that this dispatcher session sent to this queue partition before, of the same intake partition.
    previous: Order | None
    event_format: str
    accepted_at_ms: int

    def encode(self) -> bytes:
        return orjson.dumps(
            (
                self.function,
                self.version,
                self.intake_id,
                tuple(self.intake),
                self.previous,
                self.event_format,
                self.accepted_at_ms,
            )
        )

    @classmethod
    def decode(cls, value: bytes) -> Stamp:
        """Raises Undecodable."""
        try:
            function, version, intake_id, intake, previous, event_format, accepted_at_ms = orjson.loads(value)
            before = None if previous is None else (previous[0], previous[1])
            return cls(function, version, intake_id, Position(*intake), before, event_format, accepted_at_ms)
        except (ValueError, TypeError, IndexError) as error:
            raise Undecodable(f"not a queue stamp: {error}") from error


class Vector:
    """Per intake partition the highest order taken from one queue partition. Exact against our own repeats.

    A record is taken only if it lies above that and nothing its session sent before is missing; anything else was
    taken already, or follows a hole and will come again from a later session (limits/protocol_model_repeats.py).
    """

    __slots__ = ("_highest", "intake_id")

    def __init__(self, intake_id: str = "", highest: dict[int, Order] | None = None) -> None:
        self.intake_id = intake_id
        self._highest = highest or {}

    def copy(self) -> Vector:
        return Vector(self.intake_id, dict(self._highest))

    def takes(self, stamp: Stamp) -> bool:
        highest = self._highest.get(stamp.intake.partition) if stamp.intake_id == self.intake_id else None
        if highest is None:
            # An unknown predecessor under an empty vector is a hole too: it was sent, and it is not here.
            return stamp.previous is None
        return stamp.intake.order > highest and (stamp.previous is None or stamp.previous <= highest)

    def has_passed(self, stamp: Stamp) -> bool:
        """True when this record, or an earlier copy of it, was taken. For rebuilding the window by reading back: a
        record that was dropped for a hole before it must not hide the copy that comes later.
        """
        return stamp.intake_id != self.intake_id or self.has_passed_position(stamp.intake)

    def has_passed_position(self, intake: Position) -> bool:
        """The same of a position on the intake topic that this vector is about."""
        highest = self._highest.get(intake.partition)
        return highest is not None and intake.order <= highest

    def take(self, stamp: Stamp) -> None:
        if stamp.intake_id != self.intake_id:
            self.intake_id = stamp.intake_id
            self._highest = {}
        self._highest[stamp.intake.partition] = stamp.intake.order

    def encode(self) -> str:
        packed = b"".join(
            _ENTRY.pack(partition, epoch, offset) for partition, (epoch, offset) in sorted(self._highest.items())
        )
        return f"{self.intake_id}:{base64.b64encode(packed).decode()}"

    @classmethod
    def decode(cls, text: str) -> Vector:
        intake_id, _, packed = text.partition(":")
        entries = _ENTRY.iter_unpack(base64.b64decode(packed, validate=True))
        return cls(intake_id, {partition: (epoch, offset) for partition, epoch, offset in entries})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and (self.intake_id, self._highest) == (other.intake_id, other._highest)

    def __hash__(self) -> int:
        return hash(self.encode())


#: Intake partition (1 byte: at most 128), leader epoch, offset (5 bytes each would do; 4 + 8 keep it plain).
_ENTRY = struct.Struct(">BIQ")


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitTag:
    """The metadata of an offset commit of a queue partition: who committed, in which batch, and the vector."""

    executor: str
    batch: int
    vector: Vector

    def encode(self) -> str:
        text = f"1 {self.executor} {self.batch} {self.vector.encode()}"
        if len(text) > MAX_METADATA_BYTES:
            raise HeadraceError(
                f"the commit metadata has {len(text)} bytes, Kafka takes {MAX_METADATA_BYTES}",
                remedy=f"Keep the intake topic at {MAX_INTAKE_PARTITIONS} partitions or fewer.",
            )
        return text

    @classmethod
    def decode(cls, text: str) -> CommitTag:
        """Raises Undecodable: somebody else committed for our group, which must stop the partition."""
        try:
            form, executor, batch, vector = text.split(" ")
            if form == "1":
                return cls(executor=executor, batch=int(batch), vector=Vector.decode(vector))
        except (ValueError, struct.error, binascii.Error) as error:
            raise Undecodable(f"not the metadata of a claim: {text[:80]!r}") from error
        raise Undecodable(f"commit metadata of an unknown form: {text[:80]!r}")


class Claimed(Enum):
    """What the result of a fenced commit means for the batch behind it."""

    OURS = "ours"
    #: Refused for certain: the records belong to whoever owns the partition now; the intents are dropped.
    NOT_OURS = "not ours"
    #: Nobody can tell yet: this executor leaves and stops, and recovery decides.
    UNDECIDED = "undecided"


def settle(written: str, read_back: str | None) -> Claimed:
    """After an unknown commit: what the coordinator holds now against what we wrote.

    Only our own batch is proof. Anything else is none: our commit may still be on its way.
    """
    return Claimed.OURS if read_back == written else Claimed.UNDECIDED
