"""Which rows a query wants, as SQL: what an index serves apart from what has to be looked at row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.core.run import Status, StatusCode
from processor.recorder.queries import LineQuery, RunQuery, level_number

#: Lines from this level on have an index of their own.
WARNING = 30
#: How far the clock of the host that read a line may be off from that of the log.
SKEW_MS = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    indexed: list[str] = field(default_factory=lambda: ["TRUE"])
    #: Checked on each row that the index gives.
    other: list[str] = field(default_factory=list)
    #: By the names of the placeholders.
    values: dict[str, Any] = field(default_factory=dict)

    def narrow(self, condition: str, **values: Any) -> None:
        self.indexed.append(condition)
        self.values.update(values)

    def check(self, condition: str, **values: Any) -> None:
        self.other.append(condition)
        self.values.update(values)

    @property
    def by_index(self) -> str:
        return " AND ".join(self.indexed)

    def all(self, *more: str) -> str:
        return " AND ".join((*self.indexed, *self.other, *more))


def run_conditions(query: RunQuery, sql: Mapping[str, str]) -> Conditions:
    found = Conditions()
    status = query.status or _status_of(query.status_code)
    if query.function is not None:
        found.narrow("function = :function", function=plain(query.function))
    if status is not None:
        found.narrow("status = :status", status=status.value)
        if status is not Status.FINISHED:
            found.narrow("status <> 'FINISHED'")  # word for word the condition of the partial index
    if query.since_ms is not None:
        found.narrow("first_seen_ms >= :since_ms", since_ms=query.since_ms)
    if query.until_ms is not None:
        found.narrow("first_seen_ms < :until_ms", until_ms=query.until_ms)
    if query.status_code is not None:
        found.check(sql["run_has_status_code"], status_code=query.status_code)
    if query.trigger is not None:
        found.check(sql["run_has_trigger"], trigger=plain(query.trigger))
    if query.source is not None:
        found.check(sql["run_has_source"], source=plain(query.source))
    if query.text is not None:
        found.check(sql["run_has_text"], text=like(plain(query.text)))
    return found


def line_conditions(query: LineQuery, sql: Mapping[str, str], run: Mapping[str, Any] | None) -> Conditions:
    """run: the row and the delivery of the run whose lines are wanted."""
    found = Conditions()
    level = 0 if query.level is None else level_number(query.level)
    function = None if query.function is None else {"function": plain(query.function)}
    if run is not None:
        found.narrow("run = :run AND delivery = :delivery", **run)
    elif level >= WARNING:
        found.narrow(f"worst >= {WARNING}")  # word for word the condition of the partial index
    elif function:
        found.narrow("function = :function", **function)
    if function and "function" not in found.values:
        found.check("function = :function", **function)
    if level:
        found.check("worst >= :level", level=level)
    _limit_time(found, query, indexed=run is None)
    if query.text is not None:
        found.check(sql["lines_have_text"], text=like(_as_in_json(plain(query.text))))
    return found


def _limit_time(found: Conditions, query: LineQuery, *, indexed: bool) -> None:
    add = found.narrow if indexed else found.check
    if query.since_ms is not None:
        add("at_ms >= :since_ms", since_ms=query.since_ms - SKEW_MS)
    if query.until_ms is not None:
        add("at_ms < :until_ms", until_ms=query.until_ms + SKEW_MS)


def plain(text: str) -> str:
    """What every database can store and compare: no NUL, no half of a surrogate pair."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def like(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def _as_in_json(text: str) -> str:
    return orjson.dumps(text)[1:-1].decode()


def _status_of(code: int | None) -> Status | None:
    try:
        return None if code is None else StatusCode(code).status
    except ValueError:
        return None
