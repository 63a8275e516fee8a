"""`POST /v1/runs/{id}/cancel`: asks whoever owns or runs it, through `control`, and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from processor.core.control import MAX_GRACE_SEC, Cancel
from processor.core.run import StatusCode
from processor.core.topics import CONTROL
from processor.gateway.parameters import Parameters, number_in
from processor.gateway.rest import MAX_WAIT_SEC, check_form, unknown_run
from processor.gateway.runs import Runs
from processor.gateway.triggers import actor
from processor.gateway.undispatched import Undispatched
from processor.http.message import Request, Response
from processor.http.problems import Problem, Refused, bad_request
from processor.recorder.store import HistoryUnavailable, RunDocument, is_ended
from processor.transport.abstract import Appender, Outcome, TransportError, TransportUnavailable

#: `?wait` without a number.
DEFAULT_WAIT_SEC = 10.0
_MAX_BODY_BYTES = 4_096


class CancelRoutes:
    """202 once the request is durable: it is being cancelled. 200: it ended so. 409: it ended otherwise, too late."""

    def __init__(self, *, runs: Runs, undispatched: Undispatched, appender: Appender) -> None:
        self._runs = runs
        self._undispatched = undispatched
        self._appender = appender

    async def post(self, request: Request, request_id: str) -> Response:
        parameters = Parameters(request.query, known=("wait",))
        wait_sec = parameters.take("wait", _wait, 0.0, expected=f"a number of seconds from 0 to {MAX_WAIT_SEC}")
        parameters.check()
        grace_sec = _grace(await request.body(_MAX_BODY_BYTES))
        check_form(request_id)
        run = await self._known(request_id)
        if run is None or not is_ended(run):
            await self._write(Cancel(request_id=request_id, grace_sec=grace_sec, by=actor(request)))
            if wait_sec:
                run = await self._end(request_id, wait_sec)
        return _answer(request_id, run)

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
        appended = await self._appender.append(CONTROL.name, cancel.encode(), key=cancel.key, partition=0)
        if appended.outcome is not Outcome.YES:
            known = "was not" if appended.outcome is Outcome.NO else "may or may not have been"
            raise TransportUnavailable(f"the request {known} written: {appended.reason}")


def _answer(request_id: str, run: RunDocument | None) -> Response:
    if run is None or not is_ended(run):
        return _json(202, request_id, {"request_id": request_id, "cancelling": True})
    if run["status_code"] == StatusCode.CANCELLED:
        return _json(200, request_id, {"request_id": request_id, "cancelled": True, "run": run})
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


def _json(status: int, request_id: str, document: dict[str, object]) -> Response:
    headers = [(b"location", b"/v1/runs/" + request_id.encode())]
    return Response(status=status, body=orjson.dumps(document), headers=headers, run=request_id)


_seconds: Callable[[str], float] = number_in(0, MAX_WAIT_SEC)


def _wait(text: str) -> float:
    return _seconds(text) if text else DEFAULT_WAIT_SEC


def _grace(body: bytes) -> float:
    """Raises Refused (400)."""
    if not body.strip():
        return 0.0
    try:
        wanted = orjson.loads(body)
    except orjson.JSONDecodeError:
        wanted = None
    if not isinstance(wanted, dict) or not wanted.keys() <= {"grace"}:
        raise bad_request("the body is not understood", remedy='Send nothing, or {"grace": SECONDS}.')
    grace_sec = wanted.get("grace", 0)
    if isinstance(grace_sec, bool) or not isinstance(grace_sec, int | float) or not 0 <= grace_sec <= MAX_GRACE_SEC:
        raise bad_request(f"a grace of {grace_sec!r} cannot be given", remedy=f"From 0 to {MAX_GRACE_SEC:g} seconds.")
    return float(grace_sec)
