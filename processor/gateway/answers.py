"""The answers of the control API."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from processor.http.identity import uuid7
from processor.http.problems import PROBLEM_TYPE, Problem

JSON_TYPE = "application/json"


def answer(document: Any, *, status: int = 200, run: str | None = None, location: str | None = None) -> Response:
    """run: the RequestId that this answer is about."""
    headers = {"x-request-id": run or uuid7()}
    if location is not None:
        headers["location"] = location
    return Response(orjson.dumps(document), status, headers, JSON_TYPE)


def problem_answer(problem: Problem, instance: str) -> Response:
    response = Response(problem.body(instance), problem.status, None, PROBLEM_TYPE.decode())
    response.headers["x-request-id"] = problem.request_id or uuid7()
    for name, value in problem.headers():
        response.headers[name.decode()] = value.decode()
    return response
