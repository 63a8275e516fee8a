"""`/v1/executors`: who runs functions, as their heartbeats say."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.control import DrainRequest
from processor.core.inflight import executor_name
from processor.core.run import Status
from processor.core.topics import CONTROL
from processor.gateway.answers import answer
from processor.gateway.fleet import Fleet
from processor.gateway.history import AsyncHistory
from processor.gateway.roster import Member
from processor.gateway.routes import Actor, Route
from processor.gateway.schemas import documents
from processor.http.problems import not_found
from processor.recorder.store import HistoryUnavailable, RunQuery, timestamp
from processor.transport.abstract import Appender, Outcome, TransportUnavailable

_MAX_COUNTED = 1_000


class Executors:
    """For the API and for whoever else is in this process."""

    def __init__(self, *, fleet: Fleet, history: AsyncHistory, clock: Clock) -> None:
        self._fleet = fleet
        self._history = history
        self._clock = clock

    async def document(self) -> dict[str, Any]:
        running = await self._running()
        members = [each for each in self._fleet.roster.members() if each.sign.role == "executor"]
        return {
            "executors": [self._one(each, running) for each in members],
            "known": self._fleet.knows,
        }

    def named(self, name: str) -> list[str]:
        """NAME, or NAME#INCARNATION -> those that may live. Raises Refused (404)."""
        members = self._fleet.roster.members()
        living = [each.sign.process for each in members if each.sign.role == "executor" and not each.dead]
        found = [each for each in living if name in (each, executor_name(each))]
        if not found:
            known = "List them: GET /v1/executors."
            early = "This gateway has not listened for long enough to have heard of all: ask again in some seconds."
            raise not_found(f"no executor is named {name!r}", remedy=known if self._fleet.knows else early)
        return found

    async def _running(self) -> Counter[str] | None:
        """By executor, from the history; None when it cannot be told."""
        try:
            page = await self._history.list_runs(RunQuery(status=Status.RUNNING, limit=_MAX_COUNTED))
        except HistoryUnavailable:
            return None
        return None if page.cursor is not None else Counter(each["executor"] for each in page.runs)

    def _one(self, member: Member, running: Counter[str] | None) -> dict[str, Any]:
        sign, now_sec = member.sign, self._clock.boottime()
        return {
            "executor": sign.process,
            "name": executor_name(sign.process),
            "state": member.state(now_sec),
            "heard_at": timestamp(member.heard_ms),
            "age_sec": round(now_sec - member.heard_sec, 1),
            "room": sign.room,
            "running": None if running is None else running[sign.process],
            "waits": {name: wait.reason.value for name, wait in sign.waits.items()},
        }


class ExecutorRoutes:
    def __init__(self, executors: Executors, appender: Appender) -> None:
        self._executors = executors
        self._appender = appender

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/executors",
                endpoint=self.list,
                summary="Executors and how they are",
                answers={200: documents.ExecutorList},
                tag="executors",
            ),
            Route(
                method="POST",
                path="/v1/executors/{name}/drain",
                endpoint=self.drain,
                summary="Let an executor claim no more, finish what it runs, and end",
                answers={202: documents.Draining},
                tag="executors",
            ),
        ]

    async def list(self) -> Response:
        return answer(await self._executors.document())

    async def drain(self, name: Annotated[str, Path(description="NAME or NAME#INCARNATION")], actor: Actor) -> Response:
        """202 once the request is durable. It holds for the incarnations that live now, not for those that are started
        under the name later.
        """
        executors = self._executors.named(name)
        for each in executors:
            await self._ask(DrainRequest(executor=each, by=actor))
        return answer({"executors": executors, "draining": True}, status=202)

    async def _ask(self, wanted: DrainRequest) -> None:
        """Returns once it is durable. Raises TransportUnavailable."""
        appended = await self._appender.append(CONTROL.name, wanted.encode(), key=wanted.key, partition=0)
        if appended.outcome is not Outcome.YES:
            known = "was not" if appended.outcome is Outcome.NO else "may or may not have been"
            raise TransportUnavailable(f"the request {known} written: {appended.reason}")
