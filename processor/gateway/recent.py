from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from processor.recorder.store import RunDocument, queued_document

#: Some 30 MB; at 500 events per second more than three minutes.
MAX_RECENT = 100_000


class RecentRun(NamedTuple):
    function: str
    version: str
    source: str
    subject: str | None
    accepted_at_ms: int


class RecentRuns:
    """What this gateway accepted last, for callers who ask before the recorder has seen it."""

    def __init__(self, *, limit: int = MAX_RECENT) -> None:
        self._runs: OrderedDict[str, RecentRun] = OrderedDict()
        self._limit = limit

    def add(self, request_id: str, run: RecentRun) -> None:
        self._runs[request_id] = run
        if len(self._runs) > self._limit:
            self._runs.popitem(last=False)

    def document(self, request_id: str) -> RunDocument | None:
        run = self._runs.get(request_id)
        return run and queued_document(request_id=request_id, trigger="http", **run._asdict())
