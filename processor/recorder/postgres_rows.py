"""A run as the row of `runs` that PostgreSQL stores."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from processor.recorder.conditions import plain
from processor.recorder.fold import RunFold

#: Indexes take no more than some 2,700 bytes.
_MAX_NAME = 200
#: Of an error's message, for looking for a text in it.
_MAX_MESSAGE = 4_000
#: A larger verdict is stored a second time without its result, for lists.
_LARGE_BYTES = 8_192


def name_of(function: str) -> str:
    """As it is stored and asked for. Only a name that no function has could be longer: events may name anything."""
    return plain(function[:_MAX_NAME])


def object_key(source: str, subject: str) -> str:
    """Both may be longer than an index takes."""
    return hashlib.sha256(f"{source}\0{subject}".encode("utf-8", "replace")).hexdigest()[:32]


def run_row(run: RunFold) -> tuple[object, ...]:
    """In the order of the statement copy_runs."""
    shown, older = run.shown, run.older()
    accepted = orjson.loads(run.accepted) if run.accepted else {}
    verdict = shown and shown.state.verdict
    return (
        run.row,
        run.request_id,
        name_of(run.function),
        run.status.value,
        int(verdict.status_code) if verdict else None,
        run.first_seen_ms,
        run.ended_at_ms,
        len(run.deliveries),
        shown and shown.name,
        run.accepted,
        shown and shown.started,
        shown and shown.verdict,
        _listed(shown.verdict) if shown and shown.verdict else None,
        shown.state.void_verdicts if shown else 0,
        older and older.decode(),
        _plain(accepted.get("trigger")),
        _plain(accepted.get("source")),
        _about(run, accepted),
        _key(accepted),
        _plain(accepted.get("event_id")),
        run.progress,
    )


def _listed(verdict: str) -> str | None:
    if len(verdict) <= _LARGE_BYTES:
        return None
    return orjson.dumps({**orjson.loads(verdict), "result": None}).decode()


def _about(run: RunFold, accepted: dict[str, Any]) -> str | None:
    verdict = run.shown and run.shown.state.verdict
    error = verdict.error if verdict else None
    parts = [accepted.get("subject"), error and error.type, error and error.message[:_MAX_MESSAGE]]
    return plain("\n".join(str(part) for part in parts if part)) or None


def _key(accepted: dict[str, Any]) -> str | None:
    if accepted.get("trigger") != "storage" or accepted.get("subject") is None:
        return None
    return object_key(str(accepted["source"]), str(accepted["subject"]))


def _plain(value: object) -> str | None:
    return None if value is None else plain(str(value))
