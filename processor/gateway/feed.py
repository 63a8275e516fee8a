from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from processor.core.errors import Undecodable
from processor.core.topics import LOGS
from processor.gateway.history import AsyncHistory
from processor.gateway.live import Follower
from processor.gateway.runs import Runs
from processor.recorder.store import (
    MAX_PAGE,
    HistoryUnavailable,
    LogChunk,
    LogLine,
    RunDocument,
    apply_verdict,
    decode_chunk,
    is_ended,
)
from processor.transport.abstract import Record

#: How often the history is asked although nothing has arrived live: the tail may have missed something.
REFRESH_SEC = 2.0
#: At first it is asked more often: what was written just before the follower came is still on its way into it.
SETTLE_SEC = 1.0
_SETTLE_POLL_SEC = 0.1
#: While a line before the one that has arrived is still on its way into the history.
GAP_SEC = 0.05
#: How long after the verdict lines are waited for that it counts and nobody has seen.
LAST_LINES_SEC = 5.0
_LAST_LINES_POLL_SEC = 0.2


class LineFeed:
    """The lines of one delivery of a run in order of seq, each once, from the history and from the live tail.

    Which of the two brings a line first does not matter: what is known already is skipped, and a line that arrives
    before its predecessor is held back until the history has that one. Used by one task.
    """

    def __init__(self, *, follower: Follower, history: AsyncHistory, runs: Runs, after_seq: int) -> None:
        self._follower = follower
        self._history = history
        self._runs = runs
        self.last_seq = after_seq
        self._delivery: str | None = None
        #: Arrived too early.
        self._held: LogChunk | None = None
        self._verdict: dict[str, Any] | None = None
        self._log_lines: int | None = None
        self._now_sec = asyncio.get_running_loop().time
        self._look_sec = 0.0
        self._settled_sec = self._now_sec() + SETTLE_SEC
        self._give_up_sec = 0.0

    @property
    def complete(self) -> bool:
        """The run has ended and all its lines have been returned, or were waited for in vain."""
        if self._log_lines is None:
            return False
        return self.last_seq >= self._log_lines or self._now_sec() >= self._give_up_sec

    async def next(self, timeout_sec: float) -> list[LogLine]:
        """The next lines; [] when the feed is complete, when its follower has overflowed or is closing, and after
        timeout_sec.
        """
        deadline_sec = self._now_sec() + timeout_sec
        while not self._follower.overflowed:
            lines = self._from_tail()
            if not lines and self._now_sec() >= self._look_sec:
                lines = await self._from_history()
            if lines:
                return lines
            left_sec = deadline_sec - self._now_sec()
            if self.complete or self._follower.closing or left_sec <= 0:
                break
            await self._follower.wait(min(left_sec, max(self._look_sec - self._now_sec(), 0.0)))
        return []

    async def document(self) -> RunDocument | None:
        """The run document at the end; the history may not have the verdict yet that has arrived live."""
        document = await self._runs.find(self._follower.request_id)
        if document is not None and self._verdict is not None and not is_ended(document):
            apply_verdict(document, self._verdict)
        return document

    def _from_tail(self) -> list[LogLine]:
        lines: list[LogLine] = []
        while self._held is None and (record := self._follower.take()) is not None:
            if record.topic == LOGS.name:
                self._hold(record)
                lines += self._release()
            else:
                self._note_verdict(record)
        return lines or self._release()

    def _hold(self, record: Record) -> None:
        try:
            chunk = decode_chunk(record)
        except Undecodable:  # the recorder counts it
            return
        if self._delivery is None:
            self._delivery = chunk.delivery
        if chunk.delivery == self._delivery and chunk.last_seq > self.last_seq:
            self._held = chunk

    def _release(self) -> list[LogLine]:
        chunk = self._held
        if chunk is None:
            return []
        if chunk.first_seq > self.last_seq + 1:
            self._look_sec = min(self._look_sec, self._now_sec() + GAP_SEC)
            return []
        self._held = None
        return self._take(LogLine(*line) for line in orjson.loads(chunk.lines) if line[0] > self.last_seq)

    def _note_verdict(self, record: Record) -> None:
        ended = orjson.loads(record.value or b"{}")
        if ended.get("type") != "ended" or self._verdict is not None:
            return
        if self._delivery is None or ended["delivery"] == self._delivery:
            self._verdict = ended
            self._note_end(ended["log_lines"])

    def _note_end(self, log_lines: int) -> None:
        if self._log_lines is None:
            self._log_lines = log_lines
            self._give_up_sec = self._now_sec() + LAST_LINES_SEC
            self._look_sec = min(self._look_sec, self._now_sec() + _LAST_LINES_POLL_SEC)

    async def _from_history(self) -> list[LogLine]:
        request_id = self._follower.request_id
        try:
            page = await self._history.get_lines(request_id, delivery=self._delivery, after_seq=self.last_seq)
            self._look_sec = self._now_sec() + self._pause_sec(len(page.lines))
            if self._log_lines is None and len(page.lines) < MAX_PAGE:
                document = await self._runs.find(request_id)
                if document is not None and is_ended(document):
                    self._note_end(document["log_lines"])
        except HistoryUnavailable:  # what arrives live is shown all the same
            self._look_sec = self._now_sec() + REFRESH_SEC
            return []
        self._delivery = self._delivery or page.delivery
        return self._take(page.lines)

    def _pause_sec(self, found: int) -> float:
        if found == MAX_PAGE:
            return 0.0
        if self._held is not None:
            return GAP_SEC
        if self._log_lines is not None:
            return _LAST_LINES_POLL_SEC
        return REFRESH_SEC if self._now_sec() > self._settled_sec else _SETTLE_POLL_SEC

    def _take(self, lines: Iterable[LogLine]) -> list[LogLine]:
        taken = list(lines)
        if taken:
            self.last_seq = taken[-1].seq
        return taken
