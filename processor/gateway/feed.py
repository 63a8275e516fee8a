from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from processor.core.clock import SystemClock
from processor.core.errors import Undecodable
from processor.core.progress import decode_progress, is_progress
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
    marker,
    progress_document,
    shown,
    told_in_vain,
    unix_ms_of,
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
    before its predecessor is held back until the history has that one. Beside the lines it knows when the run was
    started and how far it is. Used by one task.
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
        self._gave_up = False
        self._ended_ms = 0
        #: The history did not answer: what it has, nobody knows.
        self._untold = False
        #: As in the run document: the last that was said, and what of it was not returned yet.
        self._progress: dict[str, Any] | None = None
        self._news: dict[str, Any] | None = None
        #: When the run was started, once that is known.
        self.started_ms: int | None = None

    @property
    def complete(self) -> bool:
        """The run has ended and all its lines have been returned, or a marker of those that were waited for in vain."""
        if self._log_lines is None:
            return False
        return self.last_seq >= self._log_lines or self._gave_up

    async def next(self, timeout_sec: float) -> list[LogLine]:
        """The next lines; [] when the feed is complete, when its follower has overflowed or is closing, after
        timeout_sec, and when there is something to take beside lines.
        """
        deadline_sec = self._now_sec() + timeout_sec
        while not self._follower.overflowed:
            started_ms = self.started_ms
            lines = self._from_tail()
            if not lines and self._now_sec() >= self._look_sec:
                lines = await self._from_history()
            lines = lines or self._in_vain()
            if lines or self._news is not None or started_ms != self.started_ms:
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
        if document is not None:
            document["progress"] = self._progress or document["progress"]
        return document

    def take_progress(self) -> dict[str, Any] | None:
        """The last that was said since the last call."""
        news, self._news = self._news, None
        return news

    def note(self, document: RunDocument | None) -> None:
        """What the history says; it may be behind what came live."""
        if document is None:
            return
        said = document["progress"]
        if said is not None and (self._progress is None or said["at"] > self._progress["at"]):
            self._progress = self._news = said
        self._note_start(unix_ms_of(document["started_at"]))
        if is_ended(document):
            self._note_end(document["log_lines"], unix_ms_of(document["ended_at"]) or 0)

    def _note_start(self, at_ms: int | None) -> None:
        self.started_ms = at_ms if self.started_ms is None else self.started_ms

    def _from_tail(self) -> list[LogLine]:
        lines: list[LogLine] = []
        while self._held is None and (record := self._follower.take()) is not None:
            if is_progress(record.value):
                self._hear(record)
            elif record.topic == LOGS.name:
                self._hold(record)
                lines += self._release()
            else:
                self._note_state(record)
        return lines or self._release()

    def _hear(self, record: Record) -> None:
        try:
            said = decode_progress(record.value or b"")
        except Undecodable:
            return
        if self._delivery in (None, said.delivery):
            self._progress = self._news = progress_document(said.fraction, said.message, said.at_ms)

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
        lines = (LogLine(*line) for line in orjson.loads(chunk.lines) if line[0] > self.last_seq)
        return self._take(shown(lines, self.last_seq))

    def _note_state(self, record: Record) -> None:
        ended = orjson.loads(record.value or b"{}")
        if ended.get("type") == "started":
            self._note_start(ended["started_at_ms"])
        if ended.get("type") != "ended" or self._verdict is not None:
            return
        if self._delivery is None or ended["delivery"] == self._delivery:
            self._verdict = ended
            self._note_end(ended["log_lines"], ended["ended_at_ms"])

    def _note_end(self, log_lines: int, ended_ms: int) -> None:
        if self._log_lines is None:
            self._log_lines, self._ended_ms = log_lines, ended_ms
            self._give_up_sec = self._now_sec() + LAST_LINES_SEC
            self._look_sec = min(self._look_sec, self._now_sec() + _LAST_LINES_POLL_SEC)

    def _in_vain(self) -> list[LogLine]:
        """The marker of what was waited for long enough: up to what arrived after it, or to the last line of all."""
        if self._log_lines is None or self.complete or self._now_sec() < self._give_up_sec:
            return []
        if self._held is not None and not self._untold:
            return self._take([marker(self.last_seq, self._held.first_seq - 1, self._ended_ms)])
        self._gave_up = True
        lost = told_in_vain(self.last_seq, self._log_lines, self._ended_ms, SystemClock().unix_ms())
        return self._take([lost] if lost is not None and not self._untold else [])

    async def _from_history(self) -> list[LogLine]:
        request_id = self._follower.request_id
        try:
            page = await self._history.get_lines(request_id, delivery=self._delivery, after_seq=self.last_seq)
            self._look_sec = self._now_sec() + self._pause_sec(len(page.lines))
            if self._log_lines is None and len(page.lines) < MAX_PAGE:
                self.note(await self._runs.find(request_id))
        except HistoryUnavailable:  # what arrives live is shown all the same
            self._look_sec = self._now_sec() + REFRESH_SEC
            self._untold = True
            return []
        self._untold = False
        self._delivery = self._delivery or page.delivery
        return self._take(page.lines)

    def _pause_sec(self, found: int) -> float:
        if found >= MAX_PAGE:
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
