"""Pure: what travels in the metadata of our offset commits, and where a partition is read from.

`n=8` says how many partitions the topic had when the group began, 0 when the topic did not exist.
`cuts=110:18f2,120:18f3` are batches that are decided and perhaps sent: the first goes from the committed offset to 110
(excluded), the next to 120. Whoever reads the partition next, after a crash too, makes the same batches of the same
records, and so the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

#: A broker takes 4,095 bytes of metadata; an entry has at most 34.
MOST_CUTS = 100


class Cut(NamedTuple):
    #: Offset behind the batch's last record.
    end: int
    #: Timestamp of its first record in hexadecimal: part of the identity (SourceRecord.position_id says why).
    stamp: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    #: None: unknown, somebody else committed.
    partitions: int | None = None
    cuts: tuple[Cut, ...] = ()

    def text(self) -> str:
        cuts = ",".join(f"{cut.end}:{cut.stamp}" for cut in self.cuts[:MOST_CUTS])
        began = "" if self.partitions is None else f"n={self.partitions}"
        return began + (f";cuts={cuts}" if cuts else "")


def note_of(text: str) -> Note:
    """Never raises: what is not ours says nothing."""
    try:
        parts = dict(part.split("=", 1) for part in text.split(";"))
        cuts = (entry.split(":") for entry in parts.get("cuts", "").split(",") if entry)
        return Note(partitions=int(parts["n"]), cuts=tuple(Cut(int(end), stamp) for end, stamp in cuts))
    except (ValueError, KeyError):
        return Note()


class Resolve(Enum):
    START = "where the trigger's `start` says"
    LOW = "the partition's first record"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where to read a partition from: an offset, or how to find one."""

    offset: int | None = None
    resolve: Resolve = Resolve.START
    note: Note = Note()


def places(committed: Mapping[int, tuple[int, str]], wanted: frozenset[int], partitions: int) -> dict[int, Place]:
    """committed: offset and metadata of the group, of every partition that has some. wanted: partitions to be read.
    partitions: should the group begin now, how many the topic has; 0 when it had been waited for.

    A partition without an offset is read as `start` says; but one that was added after the group had begun is read
    from its first record, because `latest` would lose what came before anybody saw it.
    """
    known = [note.partitions for _, text in committed.values() if (note := note_of(text)).partitions is not None]
    began_with = max(known, default=partitions)
    return {each: _place(committed.get(each), each, began_with) for each in wanted}


def _place(committed: tuple[int, str] | None, partition: int, began_with: int) -> Place:
    if committed is not None:
        offset, text = committed
        return Place(offset=offset, note=Note(partitions=began_with, cuts=note_of(text).cuts))
    resolve = Resolve.START if partition < began_with else Resolve.LOW
    return Place(resolve=resolve, note=Note(partitions=began_with))
