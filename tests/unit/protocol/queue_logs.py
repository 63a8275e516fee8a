"""Every log that two dispatchers can leave in one queue partition, one of them a zombie (DESIGN 5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple


class Queued(NamedTuple):
    request_id: str
    #: Its offset on the intake log.
    intake: int
    #: The intake offset that its session sent to this queue partition before; None = the first one.
    previous: int | None


QueueLog = tuple[Queued, ...]


def session(intake: Sequence[str], start: int) -> list[Queued]:
    """What one producer session sends, from a committed offset to the end."""
    return [
        Queued(intake[offset], offset, offset - 1 if offset > start else None) for offset in range(start, len(intake))
    ]


def queue_logs(intake: Sequence[str]) -> list[QueueLog]:
    """The first session may be cut anywhere and lose any of its appends; the second begins where the first could have
    committed, and lands whole. Appends of the two mix in every order that keeps each session's own.
    """
    found = {tuple(session(intake, 0)): None}
    for landed in _subsets(session(intake, 0)):
        for start in range(_committable(landed) + 1):
            # What was committed is durable by then: only the rest can still mix.
            committed, late = tuple(landed[:start]), landed[start:]
            found.update(((*committed, *log), None) for log in _mixtures(late, session(intake, start)))
    return list(found)


def _subsets(records: list[Queued]) -> Iterator[list[Queued]]:
    for count in range(len(records) + 1):
        for kept in combinations(records, count):
            yield list(kept)


def _committable(landed: list[Queued]) -> int:
    """The session commits an intake offset only when everything below it is durable."""
    return next((at for at, record in enumerate(landed) if record.intake != at), len(landed))


def _mixtures(first: list[Queued], second: list[Queued]) -> Iterator[QueueLog]:
    total = len(first) + len(second)
    for places in combinations(range(total), len(first)):
        ones, twos = iter(first), iter(second)
        yield tuple(next(ones) if at in places else next(twos) for at in range(total))
