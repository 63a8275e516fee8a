"""`POST /v1/runs/{id}/cancel`: asks whoever owns or runs it, through `control`, and tells what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from processor.core.control import Cancel
from processor.core.failpoints import failpoint
from processor.core.run import StatusCode
from processor.core.topics import CONTROL
from processor.gateway.answers import answer
from processor.gateway.rest import check_form, unknown_run
from processor.gateway.routes import Actor, Route, RunId
from processor.gateway.runs import Runs
from processor.gateway.schemas import documents
from processor.gateway.schemas.bodies import CancelBody
from processor.gateway.schemas.parameters import CancelQuery
from processor.gateway.undispatched import Undispatched
from processor.http.problems import Problem, Refused
from processor.recorder.store import HistoryUnavailable, RunDocument, is_ended
from processor.transport.abstract import Appender, Outcome, TransportError, TransportUnavailable


class CancelRoutes:
    """202 once the request is durable: it is being cancelled. 200: it ended so. 409: it ended otherwise, too late."""

    def __init__(self, *, runs: Runs, undispatched: Undispatched, appender: Appender) -> None:
        self._runs = runs
        self._undispatched = undispatched
        self._appender = appender

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/runs/{request_id}/cancel",
                endpoint=self.post_cancel,
                summary="Cancel a run",
                answers={200: documents.Cancelled, 202: documents.Cancelling},
                problems=(409,),
                tag="runs",
            )
        ]

    async def post_cancel(
        self,
        request_id: RunId,
        actor: Actor,
        query: Annotated[CancelQuery, Query()],
        body: CancelBody | None = None,
    ) -> Response:
        """202: it is being cancelled. 200: it ended so. 409: it had ended otherwise before, and `run` is that end."""
        check_form(request_id)
        run = await self.cancel(request_id, grace_sec=body.grace if body else 0.0, by=actor)
        if query.wait and (run is None or not is_ended(run)):
            run = await self._end(request_id, query.wait)
        return _answer(request_id, run)

    async def cancel(self, request_id: str, *, grace_sec: float, by: str) -> RunDocument | None:
        """The run, when it had ended before; otherwise the request is durable. Raises Refused (404),
        TransportUnavailable.
        """
        run = await self._known(request_id)
        if run is None or not is_ended(run):
            await self.request(request_id, grace_sec=grace_sec, by=by)
        return run

    async def request(self, request_id: str, *, grace_sec: float, by: str) -> None:
        """Without looking at the run. Returns once it is durable. Raises TransportUnavailable."""
        await self._write(Cancel(request_id=request_id, grace_sec=grace_sec, by=by))

    async def _known(self, request_id: str) -> RunDocument | None:
        """None: it has not been dispatched yet; or nobody can tell now, and a run that must stop does not wait for the
        history or the log to come back. Raises Refused (404).
        """
        try:
            run = await self._runs.find_soon(request_id)
            if run is not None or await self._undispatched.has(request_id):
                return run
            run = await self._runs.find(request_id)  # dispatched between the two looks
        except (HistoryUnavailable, TransportError):
            return None
        if run is None:
            raise unknown_run(request_id)
        return run

    async def _end(self, request_id: str, wait_sec: float) -> RunDocument | None:
        try:
            return await self._runs.wait_for_end(request_id, wait_sec)
        except HistoryUnavailable:
            return None

    async def _write(self, cancel: Cancel) -> None:
        """Returns once it is durable. Raises TransportUnavailable."""
        failpoint("cancel.append.before")
        appended = await self._appender.append(CONTROL.name, cancel.encode(), key=cancel.key, partition=0)
        failpoint("cancel.append.after")
        if appended.outcome is not Outcome.YES:
            known = "was not" if appended.outcome is Outcome.NO else "may or may not have been"
            raise TransportUnavailable(f"the request {known} written: {appended.reason}")


def _answer(request_id: str, run: RunDocument | None) -> Response:
    if run is None or not is_ended(run):
        return _told(202, request_id, {"request_id": request_id, "cancelling": True})
    if run["status_code"] == StatusCode.CANCELLED:
        return _told(200, request_id, {"request_id": request_id, "cancelled": True, "run": run})
    raise Refused(
        Problem(
            status=409,
            name="too-late",
            title="Too late",
            detail=f"the run has ended before it could be cancelled: {run['status']} {run['status_code']}",
            remedy="Nothing of it runs any more; `run` is how it ended.",
            request_id=request_id,
            more={"run": run},
        )
    )


def _told(status: int, request_id: str, document: dict[str, object]) -> Response:
    return answer(document, status=status, run=request_id, location=f"/v1/runs/{request_id}")
