"""`/v1/overview` and `/v1/activity`: is it healthy, what happens, where is it stuck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.run import Status
from processor.gateway.answers import answer
from processor.gateway.fleet import Fleet
from processor.gateway.history import AsyncHistory
from processor.gateway.routes import Route
from processor.gateway.runs import Runs
from processor.gateway.schemas import documents
from processor.gateway.schemas.parameters import ActivityQuery as ActivityParameters
from processor.gateway.schemas.parameters import OverviewQuery
from processor.gateway.trigger_documents import SILENCE_SEC
from processor.recorder.store import (
    Activity,
    ActivityQuery,
    QueuedRuns,
    RunDocument,
    RunQuery,
    percentile_ms,
    timestamp,
)
from processor.registry.trigger_board import TriggerBoard

MINUTE_MS = 60_000
_SHOWN_FAILING = 10
_MAX_COUNTED = 1_000
#: What a role is called where people see it: recovery runs beside each dispatcher.
_ROLES = {"recovery": "dispatcher"}


class Overview:
    """For the API and for whoever else is in this process. Raises HistoryUnavailable."""

    def __init__(self, *, history: AsyncHistory, runs: Runs, fleet: Fleet, board: TriggerBoard, clock: Clock) -> None:
        self._history = history
        self._runs = runs
        self._fleet = fleet
        self._board = board
        self._clock = clock

    async def document(self, window_ms: int) -> dict[str, Any]:
        """window_ms: how far back throughput, waits and failures are counted."""
        now_ms = self._clock.unix_ms()
        asked = ActivityQuery(since_ms=now_ms - window_ms, until_ms=now_ms, bucket_ms=MINUTE_MS)
        activity = await self._history.activity(asked)
        queued = await self._history.queued()
        running = await self._history.list_runs(RunQuery(status=Status.RUNNING, limit=_MAX_COUNTED))
        ended = _added(each.ended for each in activity)
        waits = _added(each.waits for each in activity)
        accepted = sum(sum(each.accepted.values()) for each in activity)
        return {
            "at": timestamp(now_ms),
            "window_sec": window_ms / 1000,
            "queued": sum(each.runs for each in queued),
            "running": len(running.runs),
            "finished": ended[Status.FINISHED.value],
            "failed": ended[Status.FAILED.value],
            "aborted": ended[Status.ABORTED.value],
            "accepted_per_sec": round(accepted * 1000 / window_ms, 3),
            "ended_per_sec": round(ended.total() * 1000 / window_ms, 3),
            "wait_p50_ms": percentile_ms(waits, 0.5),
            "wait_p95_ms": percentile_ms(waits, 0.95),
            "oldest_queued": await self._oldest(queued[0].function, queued[0].oldest_ms) if queued else None,
            "failing": failing(activity)[:_SHOWN_FAILING],
            "functions": _loads(queued, running.runs),
            "components": self.components(),
            "counters": dict(await self._history.counters()),
        }

    async def activity(self, query: ActivityQuery) -> dict[str, Any]:
        found = await self._history.activity(query)
        return {"bucket_sec": query.bucket_ms / 1000, "activity": [_bucket(each) for each in found]}

    def components(self) -> list[dict[str, Any]]:
        """Every process that tells that it lives: executors, gateways, dispatchers, and those that run triggers."""
        now_sec, now_ms = self._clock.boottime(), self._clock.unix_ms()
        beating = [
            _component(_ROLES.get(each.sign.role, each.sign.role), each.sign.process, each.state(now_sec),
                       now_sec - each.heard_sec, each.heard_ms)
            for each in self._fleet.roster.members()
        ]  # fmt: skip
        triggers = [
            _component("triggers", name, "serving" if now_sec - heard_sec < SILENCE_SEC else "silent",
                       now_sec - heard_sec, now_ms - round((now_sec - heard_sec) * 1000))
            for name, heard_sec in sorted(self._board.fold.heard_sec.items())
        ]  # fmt: skip
        return beating + triggers

    async def _oldest(self, function: str, oldest_ms: int) -> dict[str, Any] | None:
        query = RunQuery(
            function=function, status=Status.QUEUED, since_ms=oldest_ms, until_ms=oldest_ms + 1, limit=_MAX_COUNTED
        )
        page = await self._runs.page(query)
        return page.runs[-1] if page.runs else None


def failing(activity: Iterable[Activity]) -> list[dict[str, Any]]:
    """Functions with failures, most first."""
    ended, failed = Counter[str](), Counter[str]()
    for each in activity:
        ended[each.function] += sum(each.ended.values())
        failed[each.function] += each.ended.get(Status.FAILED.value, 0)
    return [{"function": name, "ended": ended[name], "failed": count} for name, count in failed.most_common() if count]


def _loads(queued: Iterable[QueuedRuns], running: Iterable[RunDocument]) -> list[dict[str, Any]]:
    waiting = {each.function: each.runs for each in queued}
    runs = Counter(each["function"] for each in running)
    names = sorted({*waiting, *runs})
    return [{"function": each, "queued": waiting.get(each, 0), "running": runs[each]} for each in names]


def _added(tallies: Iterable[Any]) -> Counter[Any]:
    added = Counter[Any]()
    for each in tallies:
        added.update(each)
    return added


def _bucket(each: Activity) -> dict[str, Any]:
    return {
        "start": timestamp(each.start_ms),
        "function": each.function,
        "accepted": each.accepted,
        "ended": each.ended,
        "wait_p50_ms": percentile_ms(each.waits, 0.5),
        "wait_p95_ms": percentile_ms(each.waits, 0.95),
    }


def _component(role: str, process: str, state: str, age_sec: float, heard_ms: int) -> dict[str, Any]:
    return {
        "role": role,
        "process": process,
        "state": state,
        "heard_at": timestamp(heard_ms),
        "age_sec": round(age_sec, 1),
    }


class OverviewRoutes:
    def __init__(self, overview: Overview, clock: Clock) -> None:
        self._overview = overview
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET", path="/v1/overview", endpoint=self.get, summary="How everything is",
                answers={200: documents.Overview}, tag="overview",
            ),
            Route(
                method="GET", path="/v1/activity", endpoint=self.activity, summary="What happened, by time",
                answers={200: documents.ActivityList}, tag="overview",
            ),
        ]  # fmt: skip

    async def get(self, query: Annotated[OverviewQuery, Query()]) -> Response:
        return answer(await self._overview.document(query.window_ms))

    async def activity(self, query: Annotated[ActivityParameters, Query()]) -> Response:
        return answer(await self._overview.activity(query.history_query(self._clock.unix_ms())))
