"""Lines that are lost are counted by who reads: the numbers of the others tell how many, and the verdict the last one.

A process that is killed takes with it what it had read and not published, and nobody is left to write a marker.
"""

from __future__ import annotations

from collections.abc import Iterable

from processor.core.loglines import lost_count, lost_text
from processor.core.topics import DAY_MS
from processor.recorder.queries import LogLine

#: Lines and verdict go different ways: so long after the verdict the lines are certainly there. More than an append and
#: its repeats take, and than clocks differ.
LATE_LINES_MS = 60_000
#: What is older may have been deleted for its age: lines are kept for no less (`store.MIN_DAYS`).
KEPT_MS = 3 * DAY_MS


def shown(lines: Iterable[LogLine], after_seq: int) -> list[LogLine]:
    """Consecutive lines as the log has them, from the one after after_seq, with a marker in the place of each gap."""
    told: list[LogLine] = []
    last_seq = after_seq
    for line in lines:
        if line.seq > last_seq + 1:
            told.append(marker(last_seq, line.seq - 1, line.unix_ms))
        last_seq = max(line.seq, line.seq + lost_count(line.stream, line.text) - 1)
        told.append(line if last_seq == line.seq else line._replace(seq=last_seq))
    return told


def marker(last_seq: int, until_seq: int, unix_ms: int) -> LogLine:
    """For the lines after last_seq up to until_seq."""
    return LogLine(until_seq, "platform", None, unix_ms, lost_text(until_seq - last_seq))


def told_in_vain(last_seq: int, log_lines: int, ended_at_ms: int, now_ms: int) -> LogLine | None:
    """The marker of what a verdict counts and nobody has after last_seq; None: nothing is missing, or it was deleted
    for its age.
    """
    if last_seq >= log_lines or now_ms - ended_at_ms > KEPT_MS:
        return None
    return marker(last_seq, log_lines, ended_at_ms)
