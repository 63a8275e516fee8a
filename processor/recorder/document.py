"""The run document of the API, the command line and the console (DESIGN 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from processor.core.run import Status

#: {"request_id", "function", "version", "status", "status_code", "error", "result", "trigger", "source", "subject",
#: "accepted_at", "started_at", "ended_at", "wait_reason", "executor", "instance", "cold_start", "duration_ms",
#: "memory_mb", "log_lines", "progress"}; "deliveries" when there are several. Times: RFC 3339, UTC, milliseconds.
RunDocument = dict[str, Any]


def timestamp(unix_ms: int | None) -> str | None:
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ms_of(time: str | None) -> int | None:
    """Of a `timestamp`."""
    return None if time is None else round(datetime.fromisoformat(time).timestamp() * 1000)


def queued_document(
    *,
    request_id: str,
    function: str,
    version: str | None,
    trigger: str | None,
    source: str | None,
    subject: str | None,
    accepted_at_ms: int | None,
) -> RunDocument:
    return {
        "request_id": request_id,
        "function": function,
        "version": version,
        "status": Status.QUEUED.value,
        "status_code": None,
        "error": None,
        "result": None,
        "trigger": trigger,
        "source": source,
        "subject": subject,
        "accepted_at": timestamp(accepted_at_ms),
        "started_at": None,
        "ended_at": None,
        "wait_reason": None,
        "executor": None,
        "instance": None,
        "cold_start": None,
        "duration_ms": None,
        "memory_mb": None,
        "log_lines": None,
        "progress": None,
    }


def progress_document(fraction: float, message: str, at_ms: int) -> dict[str, Any]:
    """What the run said last of how far it is; None in its place: nothing."""
    return {"fraction": fraction, "message": message, "at": timestamp(at_ms)}


def apply_started(document: RunDocument, started: dict[str, Any]) -> None:
    """started: the JSON of a `started` record of the ledger."""
    document["status"] = Status.RUNNING.value
    document["executor"] = started["executor"]
    document["started_at"] = timestamp(started["started_at_ms"])


#: Fields that a run document takes from an `ended` record unchanged.
_VERDICT_FIELDS = ("status", "status_code", "error", "result", "cold_start", "duration_ms", "memory_mb", "log_lines")


def apply_verdict(document: RunDocument, verdict: dict[str, Any]) -> None:
    """verdict: the JSON of an `ended` record of the ledger."""
    document.update((name, verdict[name]) for name in _VERDICT_FIELDS)
    document["ended_at"] = timestamp(verdict["ended_at_ms"])
    document["executor"] = verdict["executor"] or document["executor"]
    document["instance"] = verdict["instance"] or None
    if verdict["started_at_ms"] is not None:
        document["started_at"] = timestamp(verdict["started_at_ms"])


def is_ended(document: RunDocument) -> bool:
    return document["ended_at"] is not None
