"""What the platform says of a run in its log: START, ERROR or Response, END, Report (Tencent SCF, "log delivery").

They stand on no topic: whoever reads a log with them gets them made from the run, so they are never lost or repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from processor.recorder.store import LogLine, unix_ms_of

#: Lines of the function count from 1.
FIRST_SEQ = 0
NOTHING_SEEN = -1
#: And no run has as many as this, so a reader who comes back after one of the last lines gets those behind it only,
#: whatever its verdict says of the number of lines.
LAST_SEQ = 1_000_000_000_000
#: A result may have a megabyte, and is shown elsewhere.
MAX_CHARS = 65_536


class PlatformLines:
    """Those of one reader's log, each once."""

    def __init__(self, request_id: str, after_seq: int) -> None:
        """after_seq: of the last line that the reader has; NOTHING_SEEN: it has none."""
        self._request_id = request_id
        self._after_seq = after_seq

    def first(self, started_ms: int | None, lines: Sequence[LogLine]) -> list[LogLine]:
        """What belongs before these lines. What has said something was started, also where that is not recorded yet."""
        at_ms = started_ms if started_ms is not None or not lines else lines[0].unix_ms
        if self._after_seq >= FIRST_SEQ or at_ms is None:
            return []
        self._after_seq = FIRST_SEQ
        return [LogLine(FIRST_SEQ, "platform", None, at_ms, first_text(self._request_id))]

    def last(self, run: Mapping[str, Any]) -> list[LogLine]:
        """What belongs behind all lines of a run that has ended."""
        at_ms = unix_ms_of(run["ended_at"]) or 0
        made = [
            LogLine(LAST_SEQ + number, "platform", "ERROR" if text.startswith("ERROR ") else None, at_ms, text)
            for number, text in enumerate(last_texts(run))
        ]
        return [line for line in made if line.seq > self._after_seq]


def first_text(request_id: str) -> str:
    return f"START RequestId:{request_id}"


def last_texts(run: Mapping[str, Any]) -> list[str]:
    """Of a run that has ended."""
    request_id, error = run["request_id"], run["error"]
    if error:
        outcome = f"ERROR RequestId:{request_id} Result:{run['status_code']} {error['type']}: {error['message']}"
    else:
        outcome = f"Response RequestId:{request_id} RetMsg:{orjson.dumps(run.get('result')).decode()}"
    report = (
        f"Report RequestId:{request_id} Duration:{run['duration_ms'] or 0:.0f}ms MemUsage:{run['memory_mb'] or 0:.2f}MB"
    )
    return [outcome if len(outcome) <= MAX_CHARS else outcome[:MAX_CHARS] + "…", f"END RequestId:{request_id}", report]


def with_platform_lines(run: Mapping[str, Any], lines: Iterable[str]) -> str:
    begun = [first_text(run["request_id"])] if run["started_at"] else []
    ended = last_texts(run) if run["ended_at"] else []
    return "\n".join([*begun, *lines, *ended])
