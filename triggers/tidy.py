"""What may go from the topic `triggers`: a pure rule. Any process with triggers carries it out; twice does no harm."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.topics import DAY_MS, REJECTED
from processor.core.trigger_fold import TriggerFold
from processor.core.trigger_records import Replica

#: A process that has been silent so long is not shown any more; should it wake up, it tells everything again.
FORGET_SEC = 60.0
FIRE_KEPT_MS = DAY_MS
#: A mark outlives its record on `rejected`, or the record would look untouched for its last hours.
MARK_KEPT_MS = (REJECTED.retention_ms or 0) + DAY_MS


def leftovers(fold: TriggerFold, *, me: str, now_sec: float, now_ms: int) -> list[str]:
    """Keys to be buried, in this order: what names others comes after what it names."""
    return [*_of_silent(fold, me, now_sec), *_of_old_fires(fold, now_ms), *_of_old_marks(fold, now_ms)]


def _of_silent(fold: TriggerFold, me: str, now_sec: float) -> Iterator[str]:
    silent = {each for each, heard_sec in fold.heard_sec.items() if each != me and now_sec - heard_sec > FORGET_SEC}
    reports = [report for of_trigger in fold.reports.values() for report in of_trigger.values()]
    yield from (each.key for each in reports if each.replica in silent)
    # Its reports were written after its first life sign: without one it has gone, and left them behind.
    yield from (each.key for each in reports if each.replica not in fold.heard_sec and each.replica != me)
    yield from (Replica(replica=each, at_ms=0).key for each in sorted(silent))


def _of_old_fires(fold: TriggerFold, now_ms: int) -> Iterator[str]:
    for fires in fold.fires.values():
        for fire in fires.values():
            if now_ms - fire.asked_ms > FIRE_KEPT_MS:
                yield from sorted(fire.keys)
                yield fire.asked.key


def _of_old_marks(fold: TriggerFold, now_ms: int) -> Iterator[str]:
    yield from (each.key for each in fold.marks.values() if now_ms - each.rejected_ms > MARK_KEPT_MS)
