"""The days of `runs` and `log_lines`: made when they are first written to, dropped as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from processor.recorder.postgres_connections import LimitedConnection, prepared
from processor.recorder.statements import load_statements

DAY_MS = 86_400_000
RUNS, LOG_LINES = "runs", "log_lines"
_DAY = re.compile(r"\w+_(\d{8})")


class Partitions:
    """Used inside of transactions of the one writer; `forget` after one that failed."""

    def __init__(self, connection: LimitedConnection) -> None:
        self._connection = connection
        self._sql = load_statements("postgres")
        self._known: set[str] = set()
        self._runs_dropped_ms: int | None = None

    def forget(self) -> None:
        self._known.clear()
        self._runs_dropped_ms = None

    def ready(self, table: str, times_ms: Iterable[int]) -> None:
        """There is a partition for each of these times afterwards."""
        first_ms = self._dropped_ms() if table == RUNS else 0
        for day in {time_ms // DAY_MS for time_ms in times_ms}:
            if day * DAY_MS >= first_ms and name_of_day(table, day * DAY_MS) not in self._known:
                self._make(table, day * DAY_MS)

    def drop_log_lines(self, before_ms: int) -> None:
        if old := self._days_before(LOG_LINES, before_ms):
            self._execute("shut_readers_out", table=LOG_LINES)
        for name in old:
            self._execute("drop_partition", partition=name)
            self._known.discard(name)

    def drop_runs(self, before_ms: int) -> None:
        """Runs of these days that have not ended by then stay."""
        if before_ms > self._dropped_ms():
            self._execute("shut_readers_out", table=RUNS)
            self._execute("keep_old_runs_apart")
            for name in self._days_before(RUNS, before_ms):
                self._execute("keep_open_runs", {"before_ms": before_ms}, partition=name)
                self._execute("drop_partition", partition=name)
                self._known.discard(name)
            self._execute("take_old_runs_back", end_ms=str(before_ms))
            self._execute("set_runs_dropped", {"before_ms": before_ms})
            self._runs_dropped_ms = before_ms
        self._execute("expire_old_runs", {"before_ms": before_ms})

    def _make(self, table: str, first_ms: int) -> None:
        self._known.update(self._days(table))
        name = name_of_day(table, first_ms)
        if name not in self._known:
            self._execute("make_partition", table=table, partition=name)
            end_ms = str(first_ms + DAY_MS)
            self._execute("attach_partition", table=table, partition=name, first_ms=str(first_ms), end_ms=end_ms)
            self._known.add(name)

    def _days_before(self, table: str, before_ms: int) -> list[str]:
        return [name for name in self._days(table) if name < name_of_day(table, before_ms)]

    def _days(self, table: str) -> list[str]:
        rows = self._connection.execute(prepared(self._sql["partitions"]), {"table": table}).fetchall()
        return [name for (name,) in rows if _DAY.fullmatch(name)]

    def _dropped_ms(self) -> int:
        if self._runs_dropped_ms is None:
            ((self._runs_dropped_ms,),) = self._connection.execute(prepared(self._sql["runs_dropped"])).fetchall()
        assert self._runs_dropped_ms is not None
        return self._runs_dropped_ms

    def _execute(self, name: str, values: dict[str, int] | None = None, **parts: str) -> None:
        self._connection.execute(prepared(self._sql[name].format(**parts)), values or {})


def name_of_day(table: str, unix_ms: int) -> str:
    return f"{table}_{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y%m%d}"
