"""What the caller of a synchronous function gets: the end of its run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson

from processor.core.run import Status
from processor.gateway.live import Follower
from processor.gateway.runs import Runs
from processor.http.message import ClientGone, Request, Response
from processor.http.problems import Problem, Refused, unavailable
from processor.recorder.store import RunDocument, is_ended

#: Proxies and people give up earlier; the run itself may take a day.
MAX_SYNC_SEC = 900.0


class Outcomes:
    def __init__(self, runs: Runs, *, limit_sec: float = MAX_SYNC_SEC) -> None:
        self._runs = runs
        self._limit_sec = limit_sec

    @contextlib.asynccontextmanager
    async def of(self, run: str, request: Request) -> AsyncIterator[Outcome]:
        """To be entered before the event is accepted, so that its end cannot be missed. Raises Refused (503)."""
        async with self._runs.listening(run) as follower:
            outcome = Outcome(self._runs, follower, self._limit_sec)
            watch = asyncio.create_task(outcome.watch(request), name="gateway-caller")
            try:
                yield outcome
            finally:
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch


class Outcome:
    """One caller who waits for one run. A caller who leaves cancels nothing."""

    def __init__(self, runs: Runs, follower: Follower, limit_sec: float) -> None:
        self._runs = runs
        self._follower = follower
        self._limit_sec = limit_sec
        self._left = False

    async def watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._follower.close()

    async def wait(self) -> Response:
        """Raises ClientGone; Refused when it did not finish (502), has not ended in time (504), or the gateway stops
        (503).
        """
        run = await self._runs.end_of(self._follower, self._limit_sec)
        if run is not None and is_ended(run):
            return _ended(run)
        if self._left:
            raise ClientGone
        raise Refused(self._stopping() if self._follower.closing else self._too_long())

    def _too_long(self) -> Problem:
        detail = f"the run has not ended within {self._limit_sec:g} seconds; it goes on"
        return Problem(
            status=504, name="still-running", title="Not ended in time", detail=detail,
            remedy=_remedy(self._follower.request_id), request_id=self._follower.request_id,
        )  # fmt: skip

    def _stopping(self) -> Problem:
        run = self._follower.request_id
        detail = "this gateway is stopping; the run goes on"
        return unavailable("draining", "Gateway stops", detail, remedy=_remedy(run), request_id=run)


def _remedy(run: str) -> str:
    return f"Wait for it: GET /v1/runs/{run}?wait=60, or send the request again with the same Idempotency-Key."


def _ended(run: RunDocument) -> Response:
    if run["status"] == Status.FINISHED.value:
        return Response(status=200, body=orjson.dumps(run), run=run["request_id"])
    error = run["error"] or {}
    told = f"{run['status_code']} {error.get('type') or run['status']}: {error.get('message', '')}"
    raise Refused(
        Problem(
            status=502,
            name="run-failed",
            title="The run did not finish",
            detail=told.rstrip(": "),
            remedy="`run` has its error; its lines are at /v1/runs/{id}/logs.",
            request_id=run["request_id"],
            more={"run": run},
        )
    )
