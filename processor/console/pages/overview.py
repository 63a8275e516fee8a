"""Is it healthy?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from processor.console import shown
from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.console.pages.runs import between
from processor.http.in_process import address

WINDOWS = {"1h": 3_600, "24h": 86_400, "7d": 604_800}
_BUCKETS = 60
#: Dots of the picture; the newest.
_DOTS = 1_000
_LATEST = 8
_ENDS = ("finished", "failed", "aborted")


async def page(visit: Visit) -> Page:
    window = visit.asked("window") or "1h"
    where = address("v1", "overview", window=window)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "overview")
    figures = answer.document
    dots = await visit.api.get(address("v1", "runs", since=window, limit=_DOTS))
    runs = dots.document["runs"] if dots.ok else []
    latest = await visit.api.get(address("v1", "runs", limit=_LATEST))
    bucket_sec = WINDOWS.get(window, 3_600) // _BUCKETS
    activity = await visit.api.get(address("v1", "activity", since=window, bucket=f"{bucket_sec}s"))
    return Page(
        template="overview.html",
        title="Overview",
        section="overview",
        values={
            "window": window,
            "tiles": _tiles(figures, window),
            "troubles": _troubles(figures),
            "bucket_sec": bucket_sec,
            "charts": {
                "window_sec": WINDOWS.get(window, 3_600),
                "runs": [_dot(each) for each in runs],
                "buckets": _buckets(activity.document["activity"] if activity.ok else []),
            },
            "failing": [
                {"function": each["function"], "failed": each["failed"], "runs": each["ended"]}
                for each in figures["failing"]
            ],
            "components": [_component(each) for each in figures["components"]],
            "runs": latest.document["runs"] if latest.ok else [],
            "between": between,
        },
        equivalents=(Equivalent(cli=f"headrace overview --window {window}", path=where),),
    )


def _tiles(figures: Mapping[str, Any], window: str) -> list[dict[str, Any]]:
    oldest = figures["oldest_queued"]
    waits = f"oldest {shown.ago(oldest['accepted_at'], datetime.now(UTC))}" if oldest else "nothing waits"
    ended = figures["finished"] + figures["failed"] + figures["aborted"]
    runs = "console/runs"
    return [
        _tile("Queued", figures["queued"], waits, f"{runs}?status=QUEUED"),
        _tile("Running", figures["running"], "now", f"{runs}?status=RUNNING"),
        _tile(
            "Finished",
            figures["finished"],
            f"{shown.whole(figures['ended_per_sec'] * 3_600)} ends an hour",
            f"{runs}?status=FINISHED&since={window}",
        ),
        _tile(
            "Failed",
            figures["failed"],
            shown.share(figures["failed"], ended),
            f"{runs}?status=FAILED&since={window}",
            bad=figures["failed"] > 0,
        ),
        _tile(
            "Aborted",
            figures["aborted"],
            shown.share(figures["aborted"], ended),
            f"{runs}?status=ABORTED&since={window}",
        ),
        {
            "label": "Wait, median",
            "value": _ms(figures["wait_p50_ms"]),
            "more": f"95 %: {_ms(figures['wait_p95_ms'])}",
            "href": runs,
            "bad": False,
        },
    ]


def _tile(label: str, count: int, more: str, href: str, *, bad: bool = False) -> dict[str, Any]:
    return {"label": label, "value": shown.whole(count), "more": more, "href": href, "bad": bad}


def _ms(value: float | None) -> str:
    return shown.duration(None if value is None else value / 1000)


def _dot(run: Mapping[str, Any]) -> dict[str, Any]:
    at = shown.moment(run["accepted_at"])
    seconds = (run["duration_ms"] or 0) / 1000
    if run["duration_ms"] is None and run["started_at"]:
        seconds = shown.seconds_since(run["started_at"], datetime.now(UTC)) or 0
    return {
        "id": run["request_id"],
        "at": at.timestamp() if at else 0,
        "seconds": max(seconds, 0.001),
        "kind": run["status"].lower(),
    }


def _buckets(activity: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many ended how, by time; of all functions together."""
    sums: dict[str, dict[str, int]] = {}
    for each in activity:
        ends = sums.setdefault(each["start"], dict.fromkeys(_ENDS, 0))
        for status, count in each["ended"].items():
            ends[status.lower()] += count
    return [{"at": at.timestamp(), **ends} for start, ends in sorted(sums.items()) if (at := shown.moment(start))]


_TONES = {
    "serving": "good",
    "live": "good",
    "watching": "good",
    "ready": "good",
    "draining": "warn",
    "paused": "warn",
    "starting": "warn",
    "waiting": "warn",
    "silent": "bad",
    "failed": "bad",
    "stale": "bad",
    "dead": "bad",
    "unreported": "bad",
    "unsupported": "bad",
}


def tone(state: str) -> str:
    """The class of a state's tag."""
    return _TONES.get(state, "")


def _component(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": each["process"],
        "role": each["role"],
        "state": each["state"],
        "at": each["heard_at"],
        "tone": tone(each["state"]),
    }


def _troubles(figures: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    components = figures["components"]
    if components and not any(each["role"] == "executor" and tone(each["state"]) == "good" for each in components):
        yield {
            "title": "No executor serves.",
            "text": "Events are accepted and wait.",
            "remedy": "Start one: headrace start executor",
        }
    void = figures["counters"].get("missed", 0)
    if void:
        yield {
            "title": f"{void} records were deleted before the recorder read them.",
            "text": "Their runs may be missing here.",
            "remedy": "Keep the recorder running, or lengthen the retention of the topics.",
        }
