"""How a trigger is, out of what several processes tell of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from processor.core.function import Function
from processor.core.trigger_fold import Fire, TriggerFold
from processor.core.trigger_records import GATEWAY_KINDS, Report, trigger_id
from processor.recorder.store import timestamp

#: A process tells that it lives every 3 s.
SILENCE_SEC = 12.0
#: Of one trigger, newest first.
_SHOWN_FIRES = 5

#: The state of the whole is the first of these that any living process tells.
_BEST_FIRST = ("watching", "starting", "waiting", "failed", "paused", "stopped", "unsupported")
#: Further states, which only the whole can have.
DISABLED, STALE, UNREPORTED = "disabled", "stale", "unreported"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a function's `events`, by its id."""

    id: str
    function: str
    enabled: bool
    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Whole:
    state: str
    reason: str = ""
    remedy: str = ""


def entries_of(function: Function) -> Iterator[Entry]:
    """Equal entries are one."""
    seen: set[str] = set()
    for event in function.events:
        for kind, settings in event.items():
            name = trigger_id(function.name, kind, settings)
            if name not in seen:
                seen.add(name)
                yield Entry(id=name, function=function.name, enabled=function.enabled, kind=kind, settings=settings)


def trigger_document(entry: Entry, fold: TriggerFold, now_sec: float) -> dict[str, Any]:
    reports = sorted(fold.reports.get(entry.id, {}).values(), key=lambda each: each.replica)
    live = [each for each in reports if fold.is_live(each.replica, now_sec, SILENCE_SEC)]
    whole = _whole(entry, fold, reports, live)
    pause = fold.pauses.get(entry.id)
    lags = [each.lag for each in live if each.lag is not None]
    return {
        "id": entry.id,
        "function": entry.function,
        "kind": entry.kind,
        "state": whole.state,
        "reason": whole.reason,
        "remedy": whole.remedy,
        "paused": pause is not None,
        "paused_by": pause and pause.by,
        "paused_at": pause and timestamp(pause.at_ms),
        "accepted": sum(each.accepted for each in live),
        "rejected": sum(each.rejected for each in live),
        "last_event_at": timestamp(max((each.last_event_ms or 0 for each in live), default=0) or None),
        "lag": sum(lags) if lags else None,
        "upcoming": next((list(each.upcoming) for each in live if each.upcoming), []),
        "settings": entry.settings,
        "replicas": [_replica(each, is_live=each in live) for each in reports],
        "fires": [fire_document(each) for each in _latest(fold.fires.get(entry.id, {}))],
    }


def fire_document(fire: Fire) -> dict[str, Any]:
    outcome = fire.outcome
    return {
        "id": fire.asked.request,
        "trigger": fire.asked.trigger,
        "state": _fire_state(fire),
        "asked_at": timestamp(fire.asked_ms),
        "asked_by": fire.asked.by,
        "replica": fire.owner,
        "done_at": timestamp(outcome.at_ms) if outcome else None,
        "accepted": outcome.accepted if outcome else 0,
        "request_ids": list(outcome.request_ids) if outcome else [],
        "error": outcome.error if outcome else "",
        "remedy": outcome.remedy if outcome else "",
    }


def _fire_state(fire: Fire) -> str:
    if fire.outcome is not None:
        return "failed" if fire.outcome.error else "fired"
    return "asked" if fire.owner is None else "firing"


def _latest(fires: Mapping[str, Fire]) -> list[Fire]:
    return list(fires.values())[: -_SHOWN_FIRES - 1 : -1]


def _whole(entry: Entry, fold: TriggerFold, reports: list[Report], live: list[Report]) -> _Whole:
    if not entry.enabled:
        return _Whole(state=DISABLED, reason="its function is disabled", remedy="Enable the function and deploy it.")
    if entry.kind in GATEWAY_KINDS:
        return _Whole(state="watching", reason="served by every gateway: POST /v1/events")
    if live:
        best = min(live, key=lambda each: _rank(each.state))
        return _Whole(state=best.state, reason=best.reason or _others(best, live), remedy=best.remedy)
    if entry.id in fold.pauses:
        return _Whole(state="paused", reason="paused; no process runs it now", remedy=_START)
    if reports:
        names = ", ".join(each.replica for each in reports)
        return _Whole(
            state=STALE, reason=f"nothing has been heard of {names} for {SILENCE_SEC:g} s or more", remedy=_START
        )
    return _Whole(state=UNREPORTED, reason="no process that runs triggers has told of it", remedy=_START)


_START = "Start one: `headrace start triggers`; where one runs, look at its log."


def _others(best: Report, live: list[Report]) -> str:
    """It does well in one process; the trouble of the others should be seen nevertheless."""
    worse = [each for each in live if each.reason and each.state != best.state]
    return "; ".join(f"{each.state} in {each.replica}: {each.reason}" for each in worse)


def _rank(state: str) -> int:
    return _BEST_FIRST.index(state) if state in _BEST_FIRST else len(_BEST_FIRST)


def _replica(report: Report, *, is_live: bool) -> dict[str, Any]:
    return {
        "replica": report.replica,
        "state": report.state if is_live else STALE,
        "reason": report.reason,
        "remedy": report.remedy,
        "accepted": report.accepted,
        "rejected": report.rejected,
        "last_event_at": timestamp(report.last_event_ms),
        "lag": report.lag,
    }
