"""AWS Lambda's Invoke, for clients that exist: `boto3.client("lambda", endpoint_url=...)` works unmodified.

    POST /2015-03-31/functions/{FunctionName}/invocations?Qualifier=

FunctionName: a name, a full or a partial ARN, each with or without a qualifier: $LATEST or
the version that is deployed. Signatures are not checked. Source: the service model of botocore, lambda/2015-03-31.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from processor.core.topics import MAX_EVENT_BYTES
from processor.gateway.log_tail import log_tail
from processor.gateway.run_end import MAX_WAIT_SEC, end_of
from processor.http.identity import uuid7
from processor.http.in_process import Answer, Api, address
from processor.http.message import Headers, Request, Response
from processor.http.patience import while_there
from processor.http.problems import Refused

PREFIX = "2015-03-31"
_TAIL_BYTES = 4_096
_NAME = re.compile(
    r"(?:(?:arn:[\w-]+:lambda:[\w-]+:)?\d{12}:(?:function:)?|function:)?(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[$\w-]+))?"
)
#: The exceptions of the service model, by the status of our own answer.
_ERRORS = {
    400: "InvalidRequestContentException",
    404: "ResourceNotFoundException",
    409: "ResourceConflictException",
    413: "RequestTooLargeException",
    415: "UnsupportedMediaTypeException",
    422: "InvalidParameterValueException",
    429: "TooManyRequestsException",
}


class _Wanted(NamedTuple):
    function: str
    kind: str
    tail: bool
    #: The SDK keeps it over its own retries: so one call is one run.
    key: str


class LambdaApi:
    def __init__(self, api: Api) -> None:
        self._api = api

    async def invoke(self, request: Request, name: str) -> Response:
        found = _NAME.fullmatch(name)
        if found is None:
            return _error(
                400, f"{name!r} is neither the name nor the ARN of a function", "InvalidParameterValueException"
            )
        function, qualifier = found["name"], found["qualifier"] or request.query.get("Qualifier", "$LATEST")
        known = await self._api.get(address("v1", "functions", function))
        if not known.ok:
            return _refused(known)
        if qualifier not in ("$LATEST", known.document["version"]):
            return _error(404, f"function {function!r} has no version or alias {qualifier!r} that is deployed")
        wanted = _Wanted(
            function=function,
            kind=request.header(b"x-amz-invocation-type") or "RequestResponse",
            tail=request.header(b"x-amz-log-type") == "Tail",
            key=request.header(b"amz-sdk-invocation-id") or uuid7(),
        )
        try:
            return await self._run(request, wanted, await request.body(MAX_EVENT_BYTES))
        except Refused as error:
            return _error(error.problem.status, error.problem.detail)

    async def _run(self, request: Request, wanted: _Wanted, payload: bytes) -> Response:
        match wanted.kind:
            case "DryRun":
                return Response(status=204)
            case "Event" | "RequestResponse":
                pass
            case other:
                return _error(400, f"no invocation type {other!r}", "InvalidParameterValueException")
        where = address("v1", "functions", wanted.function, "invocations")
        answer = await self._api.call("POST", where, payload, idempotency_key=wanted.key, prefer="respond-async")
        if not answer.ok:
            return _refused(answer)
        run = answer.document["request_id"]
        if wanted.kind == "Event":
            return Response(status=202, run=run, headers=[(b"x-amzn-requestid", run.encode())])
        return await while_there(request, self._ended(run, wanted))

    async def _ended(self, run: str, wanted: _Wanted) -> Response:
        answer = await end_of(self._api, run)
        if answer is None:
            return _error(504, f"run {run} has not ended within {MAX_WAIT_SEC} s; it goes on", "ServiceException")
        if not answer.ok:
            return _refused(answer)
        tail = await log_tail(self._api, run, _TAIL_BYTES, ended=True) if wanted.tail else None
        return _outcome(answer.document, tail)


def _outcome(run: Mapping[str, Any], tail: Iterable[str] | None) -> Response:
    headers: Headers = [
        (b"x-amzn-requestid", run["request_id"].encode()),
        (b"x-amz-executed-version", (run["version"] or "$LATEST").encode()),
    ]
    if tail is not None:
        lines = "".join(f"{line}\n" for line in tail).encode()[-_TAIL_BYTES:]
        headers.append((b"x-amz-log-result", base64.b64encode(lines)))
    if run["status"] == "FINISHED":
        return Response(status=200, body=orjson.dumps(run["result"]), run=run["request_id"], headers=headers)
    error = run["error"] or {}
    headers.append((b"x-amz-function-error", b"Unhandled"))
    said = {
        "errorMessage": error.get("message", ""),
        "errorType": error.get("type", run["status"]),
        "requestId": run["request_id"],
        "stackTrace": (error.get("stack") or "").splitlines(),
    }
    return Response(status=200, body=orjson.dumps(said), run=run["request_id"], headers=headers)


def _refused(answer: Answer) -> Response:
    problem = answer.document or {}
    said = _error(answer.status, " ".join(filter(None, (problem.get("detail"), problem.get("remedy")))))
    waits = [(name, value) for name, value in answer.headers.items() if name == b"retry-after"]
    return Response(status=said.status, body=said.body, headers=[*(said.headers or ()), *waits])


def _error(status: int, message: str, name: str = "") -> Response:
    name = name or _ERRORS.get(status, "ServiceException")
    who = "User" if status < 500 else "Service"
    return Response(
        status=status,
        body=orjson.dumps({"Type": who, "Message": message, "message": message}),
        headers=[(b"x-amzn-errortype", name.encode())],
    )
