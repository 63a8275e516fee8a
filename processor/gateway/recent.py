from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from processor.core.event import Event
from processor.core.function import Function
from processor.recorder.store import RunDocument, queued_document

#: Some 30 MB; at 500 events per second more than three minutes.
MAX_RECENT = 100_000


class RecentRun(NamedTuple):
    function: str
    version: str
    source: str
    subject: str | None
    accepted_at_ms: int
    trigger: str

    @classmethod
    def of(cls, function: Function, event: Event, trigger: str, now_ms: int) -> RecentRun:
        return cls(function.name, function.current.version, event.source, event.subject, now_ms, trigger)


class RecentRuns:
    """What this gateway accepted last, for callers who ask before the recorder has seen it."""

    def __init__(self, *, limit: int = MAX_RECENT) -> None:
        self._runs: OrderedDict[str, RecentRun] = OrderedDict()
        self._limit = limit

    def add(self, request_id: str, run: RecentRun) -> None:
        self._runs[request_id] = run
        if len(self._runs) > self._limit:
            self._runs.popitem(last=False)

    def accepted_since(self, request_id: str, since_ms: int) -> bool:
        run = self._runs.get(request_id)
        return run is not None and run.accepted_at_ms >= since_ms

    def document(self, request_id: str) -> RunDocument | None:
        run = self._runs.get(request_id)
        return run and queued_document(request_id=request_id, **run._asdict())
