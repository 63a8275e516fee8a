"""Cancel or replay all runs that a filter finds: parts of the page of runs, within its dialog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from processor.console.page import Page, Visit
from processor.console.pages.runs import FILTERS, command
from processor.http.in_process import Answer, address

MAX_FORM_BYTES = 65_536
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
#: console/runs/all/cancel is two segments longer than console/runs.
_DEEPER = 2


async def preview(visit: Visit, action: str) -> Page:
    asked = visit.asked_all(*FILTERS)
    if not asked:
        return _refused({"detail": "Without any filter it would be every run.", "remedy": "Choose a filter first."})
    wanted = frozen(asked, datetime.now(UTC))
    answer = await _call(visit, action, wanted, preview=True)
    if not answer.ok:
        return _refused(answer.document)
    values = {
        "action": action,
        "found": answer.document,
        "wanted": wanted,
        "cli": f"{command(f'headrace runs bulk {action}', wanted, FILTERS)} --yes",
    }
    return Page(template="bulk_preview.html", title="Bulk", section="runs", values=values, deeper=_DEEPER)


async def begin(visit: Visit, action: str) -> Page:
    body = await visit.request.body(MAX_FORM_BYTES)
    given = dict(parse_qsl(body.decode("utf-8", "replace")))
    wanted = {name: given[name] for name in FILTERS if given.get(name)}
    return _progress(await _call(visit, action, wanted, preview=False), _DEEPER)


async def progress(visit: Visit, operation: str) -> Page:
    return _progress(await visit.api.get(address("v1", "bulk", operation)), _DEEPER)


async def stop(visit: Visit, operation: str) -> Page:
    return _progress(await visit.api.call("POST", address("v1", "bulk", operation, "stop")), _DEEPER + 1)


def frozen(asked: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The same filter with fixed times: what is done is what the preview has counted, however late it is confirmed."""
    wanted = {**asked, "until": asked.get("until") or _written(now)}
    for name in ("since", "until"):
        found = _AGO.fullmatch(wanted.get(name, ""))
        if found is not None:
            wanted[name] = _written(now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    return wanted


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _call(visit: Visit, action: str, wanted: Mapping[str, str], *, preview: bool) -> Answer:
    body: dict[str, Any] = {"action": action, "filter": wanted, "preview": preview}
    return await visit.api.call("POST", address("v1", "bulk"), body)


def _progress(answer: Answer, deeper: int) -> Page:
    if answer.status == 404:
        said = {
            "detail": "Another gateway does it, and goes on.",
            "remedy": "The list of runs shows what has been done.",
        }
        return _refused(said)
    if not answer.ok:
        return _refused(answer.document)
    operation = answer.document
    passed = operation["done"] + operation["skipped"] + operation["failed"]
    values = {"operation": operation, "passed": passed}
    return Page(template="bulk_progress.html", title="Bulk", section="runs", values=values, deeper=deeper)


def _refused(problem: Mapping[str, Any]) -> Page:
    return Page(template="bulk_refused.html", title="Bulk", section="runs", values={"problem": problem}, deeper=_DEEPER)
