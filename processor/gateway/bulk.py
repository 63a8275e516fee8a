"""`/v1/bulk`: cancelling or replaying every run that a filter finds, with a preview and with progress.

An operation belongs to the gateway that began it, and ends with it; what it has done by then is done. Begun again with
the same filter, a cancel finds only what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.run import Status
from processor.gateway.answers import answer
from processor.gateway.cancel import CancelRoutes
from processor.gateway.refusals import parse_query
from processor.gateway.replay import Replays
from processor.gateway.routes import Actor, Route
from processor.gateway.runs import Runs
from processor.gateway.schemas import documents
from processor.gateway.schemas.bodies import BulkBody, ReplayBody
from processor.gateway.schemas.parameters import RunFilter
from processor.http.identity import uuid7
from processor.http.problems import Problem, Refused, not_found
from processor.recorder.store import MAX_PAGE, RunDocument, RunQuery, is_ended, timestamp

log = logging.getLogger(__name__)

#: Runs of one operation: some megabytes of memory, and minutes of work.
MAX_RUNS = 10_000
SHOWN = 20
#: Operations that go on at a time, and that are remembered.
MAX_ACTIVE = 4
KEPT = 100
_AT_ONCE = 16
#: Looks of one search; each may take a second where no index serves the filter.
_MAX_LOOKS = 60
_STATES = {"cancel": (Status.QUEUED, Status.RUNNING), "replay": (Status.FINISHED, Status.FAILED, Status.ABORTED)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    runs: Sequence[RunDocument]
    #: There are more than one operation takes, or than could be looked through.
    limited: bool


@dataclass(slots=True)
class Operation:
    id: str
    action: str
    filter: dict[str, str]
    found: Found
    started_ms: int
    state: str = "running"
    done: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    ended_ms: int | None = None

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "action": self.action,
            "state": self.state,
            "filter": self.filter,
            "count": len(self.found.runs),
            "limited": self.found.limited,
            "done": self.done,
            "skipped": self.skipped,
            "failed": self.failed,
            "runs": self.found.runs[:SHOWN],
            "errors": self.errors,
            "created": self.created,
            "started_at": timestamp(self.started_ms),
            "ended_at": timestamp(self.ended_ms),
        }

    def note_failure(self, request_id: str, error: HeadraceError) -> None:
        self.failed += 1
        if len(self.errors) < SHOWN:
            self.errors.append({"request_id": request_id, "detail": str(error), "remedy": error.remedy})


class BulkOperations:
    def __init__(self, *, runs: Runs, cancel: CancelRoutes, replays: Replays, clock: Clock) -> None:
        self._runs = runs
        self._cancel = cancel
        self._replays = replays
        self._clock = clock
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def find(self, action: str, wanted: RunFilter) -> Found:
        """The runs that the action can be done to, newest first. Raises HistoryUnavailable."""
        query = replace(wanted.run_query(self._clock.unix_ms()), limit=MAX_PAGE)
        possible = _STATES[action]
        if query.status is not None:
            return await self._collect([query] if query.status in possible else [])
        if action == "replay":
            return await self._collect([query])
        return await self._collect([replace(query, status=each) for each in possible])

    def begin(self, body: BulkBody, found: Found, actor: str) -> Operation:
        """Raises Refused (429) when too many go on."""
        if len(self._tasks) >= MAX_ACTIVE:
            raise Refused(_BUSY)
        operation = Operation(uuid7(), body.action, body.filter, found, self._clock.unix_ms())
        self._operations[operation.id] = operation
        while len(self._operations) > KEPT:
            self._operations.popitem(last=False)
        task = asyncio.create_task(self._run(operation, self._work(body, operation, actor)), name="gateway-bulk")
        self._tasks[operation.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(operation.id, None))
        return operation

    def get(self, operation: str) -> Operation | None:
        return self._operations.get(operation)

    def all(self) -> list[Operation]:
        """Newest first."""
        return list(reversed(self._operations.values()))

    def stop_one(self, operation: str) -> None:
        task = self._tasks.get(operation)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _collect(self, queries: Sequence[RunQuery]) -> Found:
        found: list[RunDocument] = []
        for query in queries:
            cursor: str | None = None
            for _ in range(_MAX_LOOKS):
                page = await self._runs.page(replace(query, cursor=cursor))
                found += [each for each in page.runs if query.status is not None or is_ended(each)]
                cursor = page.cursor
                if cursor is None or len(found) > MAX_RUNS:
                    break
            if cursor is not None or len(found) > MAX_RUNS:
                return Found(runs=found[:MAX_RUNS], limited=True)
        return Found(runs=found, limited=False)

    def _work(self, body: BulkBody, operation: Operation, actor: str) -> Callable[[RunDocument], Awaitable[None]]:
        if body.action == "replay":
            return lambda run: self._replay_one(operation, run)
        return lambda run: self._cancel_one(operation, run, body.grace, actor)

    async def _run(self, operation: Operation, work: Callable[[RunDocument], Awaitable[None]]) -> None:
        runs = operation.found.runs
        try:
            for start in range(0, len(runs), _AT_ONCE):
                await asyncio.gather(*(self._one(operation, run, work) for run in runs[start : start + _AT_ONCE]))
            operation.state = "done"
        except asyncio.CancelledError:
            operation.state = "stopped"
            raise
        except Exception:
            operation.state = "stopped"
            log.exception("a bulk %s ended early", operation.action, extra={"action": "bulk_failed"})
        finally:
            operation.ended_ms = self._clock.unix_ms()

    async def _one(
        self, operation: Operation, run: RunDocument, work: Callable[[RunDocument], Awaitable[None]]
    ) -> None:
        try:
            await work(run)
        except HeadraceError as error:
            operation.note_failure(run["request_id"], error)

    async def _cancel_one(self, operation: Operation, run: RunDocument, grace_sec: float, actor: str) -> None:
        known = await self._runs.find(run["request_id"])
        if known is not None and is_ended(known):
            operation.skipped += 1
            return
        await self._cancel.request(run["request_id"], grace_sec=grace_sec, by=actor)
        operation.done += 1

    async def _replay_one(self, operation: Operation, run: RunDocument) -> None:
        planned = await self._replays.plan(run, operation.id, ReplayBody())
        new = await self._replays.accept(planned, patient=True)
        operation.done += 1
        if len(operation.created) < SHOWN:
            operation.created.append({"request_id": new, "replay_of": run["request_id"]})


class BulkRoutes:
    def __init__(self, operations: BulkOperations) -> None:
        self._operations = operations

    def routes(self) -> list[Route]:
        one = {200: documents.Operation}
        return [
            Route(
                method="POST", path="/v1/bulk", endpoint=self.begin, summary="Cancel or replay runs by filter",
                answers={200: documents.Operation, 202: documents.Operation}, problems=(429,), tag="bulk",
            ),
            Route(
                method="GET", path="/v1/bulk", endpoint=self.list, summary="List bulk operations of this gateway",
                answers={200: documents.OperationList}, tag="bulk",
            ),
            Route(
                method="GET", path="/v1/bulk/{operation}", endpoint=self.get, summary="How far it is",
                answers=one, tag="bulk",
            ),
            Route(
                method="POST", path="/v1/bulk/{operation}/stop", endpoint=self.stop, summary="Stop it",
                answers=one, tag="bulk",
            ),
        ]  # fmt: skip

    async def begin(self, body: BulkBody, actor: Actor) -> Response:
        """With `preview` nothing is done: `count` and the first 20 `runs` say what would be. Otherwise 202, and
        GET /v1/bulk/{id} on the same gateway tells the progress.
        """
        found = await self._operations.find(body.action, parse_query(RunFilter, body.filter))
        if body.preview:
            operation = Operation("preview", body.action, body.filter, found, 0, state="preview")
            return answer(operation.document() | {"started_at": None})
        operation = self._operations.begin(body, found, actor)
        return answer(operation.document(), status=202, location=f"/v1/bulk/{operation.id}")

    async def list(self) -> Response:
        return answer({"operations": [each.document() for each in self._operations.all()]})

    async def get(self, operation: str) -> Response:
        return answer(self._known(operation).document())

    async def stop(self, operation: str) -> Response:
        """What it has done by now is done. Answers at once; a moment later its state is `stopped`."""
        known = self._known(operation)
        self._operations.stop_one(operation)
        await asyncio.sleep(0)
        return answer(known.document())

    def _known(self, operation: str) -> Operation:
        found = self._operations.get(operation)
        if found is None:
            raise not_found(
                f"this gateway has no operation {operation!r}",
                remedy="Ask the gateway that began it: each knows its own, the last 100, until it stops.",
            )
        return found


_BUSY = Problem(
    status=429,
    name="bulk-busy",
    title="Too many bulk operations",
    detail=f"{MAX_ACTIVE} bulk operations go on at this gateway",
    remedy="Wait for one to end: GET /v1/bulk.",
    retry_after_sec=5.0,
)
