"""What a caller of the API is told of an error of the parts that only the gateway has."""

from __future__ import annotations

from processor.core.errors import HeadraceError
from processor.gateway.event_routing import Unrouted
from processor.http.problems import Problem, told, unavailable
from processor.http.problems import problem_of as shared_problem_of
from processor.recorder.store import BadCursor, HistoryUnavailable
from processor.registry.code_store import CodeRefused
from processor.registry.errors import AsyncExecutionLocked, DeployConflict


def problem_of(error: HeadraceError) -> Problem:
    match error:
        case BadCursor():
            return told(400, "bad-request", "Bad request", error)
        case Unrouted():
            return told(404, "unrouted", "No function wants this event", error)
        case AsyncExecutionLocked():
            return told(409, "async-execution-locked", "Locked at creation", error)
        case DeployConflict():
            return told(409, "deploy-conflict", "Deployed by somebody else meanwhile", error)
        case CodeRefused():
            return told(422, "code-refused", "Code cannot be deployed", error)
        case HistoryUnavailable():
            return unavailable("history-unavailable", "History unavailable", str(error), remedy=error.remedy)
        case _:
            return shared_problem_of(error)
