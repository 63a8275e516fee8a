"""What ran: the list, and one run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from processor.console import shown
from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.http.in_process import address

FILTERS = ("function", "status", "code", "since", "until", "trigger", "text")
KINDS = ("http", "cloudevents", "kafka", "schedule", "storage", "folder")
_PAGE = 50
#: Of an event: what it carries is shown by itself.
_NOT_SHOWN = ("data", "data_base64", "specversion")


async def list_page(visit: Visit) -> Page:
    asked = visit.asked_all(*FILTERS, "cursor")
    where = address("v1", "runs", **asked, limit=_PAGE)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "runs")
    return Page(
        template="runs.html",
        title="Runs",
        section="runs",
        values={
            "asked": {name: asked.get(name, "") for name in (*FILTERS, "cursor")},
            "filtered": bool(set(asked) - {"cursor"}),
            "link": _linker(asked),
            "runs": answer.document["runs"],
            "cursor": answer.document["cursor"],
            "names": await function_names(visit),
            "kinds": KINDS,
            "between": between,
        },
        equivalents=(Equivalent(cli=command("headrace runs ls", asked, FILTERS), path=where),),
    )


async def one_page(visit: Visit, request_id: str) -> Page:
    where = address("v1", "runs", request_id)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "runs")
    run = answer.document
    limit_sec = await _time_limit(visit, run)
    return Page(
        template="run.html",
        title=f"Run {request_id[:8]}",
        section="runs",
        values={"run": run, "between": between, **_result(run), **_clock(run, limit_sec)},
        equivalents=(
            Equivalent(cli=f"headrace runs show {request_id}", path=where),
            Equivalent(cli=f"headrace logs -f {request_id}", path=f"{where}/logs?follow=1"),
            Equivalent(cli=f"headrace runs cancel {request_id}", path=f"{where}/cancel", method="POST"),
            Equivalent(cli=f"headrace runs replay {request_id}", path=f"{where}/replay", method="POST"),
        ),
    )


async def event_part(visit: Visit, request_id: str) -> Page:
    """A part of the run's page that comes later: the log has to be searched for it."""
    answer = await visit.api.get(address("v1", "runs", request_id, "event"))
    if not answer.ok:
        why = (answer.document or {}).get("detail") or "Its event is not on the log any more."
        return Page(
            template="event.html", title="Event", section="runs", values={"event": None, "missing": why}, deeper=1
        )
    document = answer.document
    carried = shown.pretty(document.get("data", document))
    values = {
        "event": carried[: shown.PAYLOAD_CHARS],
        "event_bytes": len(carried.encode()),
        "cut": len(carried) > shown.PAYLOAD_CHARS,
        "request_id": request_id,
        "attributes": [(name, str(value)) for name, value in sorted(document.items()) if name not in _NOT_SHOWN],
    }
    return Page(template="event.html", title="Event", section="runs", values=values, deeper=1)


def between(first: str | None, second: str | None) -> float | None:
    """Seconds."""
    begin, end = shown.moment(first), shown.moment(second)
    return None if begin is None or end is None else (end - begin).total_seconds()


def command(base: str, asked: Mapping[str, str], known: tuple[str, ...]) -> str:
    return " ".join([base, *(f"--{name} {_quoted(asked[name])}" for name in known if asked.get(name))])


async def function_names(visit: Visit) -> list[str]:
    answer = await visit.api.get(address("v1", "functions"))
    return [each["name"] for each in answer.document["functions"]] if answer.ok else []


def _quoted(text: str) -> str:
    plain = text.replace("-", "").replace("_", "").replace(".", "").replace(":", "").isalnum()
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


def _linker(asked: Mapping[str, str]) -> Any:
    """The address of this page with some filters changed; a cursor belongs to one set of filters only."""

    def link(**changed: str) -> str:
        kept = {name: value for name, value in asked.items() if name != "cursor"}
        return "?" + urlencode({name: value for name, value in {**kept, **changed}.items() if value})

    return link


def _result(run: Mapping[str, Any]) -> dict[str, Any]:
    text = shown.pretty(run["result"])
    error = run["error"] or {}
    return {
        "result": text[: shown.PAYLOAD_CHARS],
        "result_bytes": len(text.encode()),
        "result_cut": len(text) > shown.PAYLOAD_CHARS,
        "shown_chars": shown.PAYLOAD_CHARS,
        "stack": error.get("stack") or "",
    }


async def _time_limit(visit: Visit, run: Mapping[str, Any]) -> float | None:
    if run["status"] != "RUNNING":
        return None
    answer = await visit.api.get(address("v1", "functions", run["function"]))
    return answer.document["timeout_sec"] if answer.ok else None


def _clock(run: Mapping[str, Any], limit_sec: float | None) -> dict[str, Any]:
    accepted, started, ended = (shown.moment(run[name]) for name in ("accepted_at", "started_at", "ended_at"))
    ends_by = None if started is None or limit_sec is None else started + timedelta(seconds=limit_sec)
    now = datetime.now(tz=accepted.tzinfo) if accepted else None
    return {
        "bar": _bar(accepted, started, ended or now),
        "steps": _steps(run),
        "ends_by": ends_by and ends_by.isoformat(),
        "remaining": None if ends_by is None or now is None else max((ends_by - now).total_seconds(), 0.0),
        "progress": run.get("progress"),
    }


def _bar(accepted: datetime | None, started: datetime | None, end: datetime | None) -> dict[str, Any]:
    if accepted is None or end is None:
        return {"wait": 0, "run": 0, "label": "Nothing is known of its times"}
    whole_sec = max((end - accepted).total_seconds(), 0.001)
    wait_sec = ((started or end) - accepted).total_seconds()
    wait = min(max(round(1000 * wait_sec / whole_sec), 0), 1000)
    label = f"waited {shown.duration(wait_sec)}, then {shown.duration(whole_sec - wait_sec)} until the end or now"
    return {"wait": wait, "run": 1000 - wait if started else 0, "label": label}


def _steps(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = (("accepted_at", "Accepted"), ("started_at", "Started"), ("ended_at", "Ended"))
    steps: list[dict[str, Any]] = []
    for field, what in names:
        if run[field]:
            after = between(steps[-1]["at"], run[field]) if steps else None
            steps.append({"what": what, "at": run[field], "after": after})
    return steps
