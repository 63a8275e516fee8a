"""The actions of Tencent SCF that its SDK calls: `ScfClient` with HttpProfile(protocol="http", endpoint="host:port")
works unmodified. Signatures are not checked, Namespace and Qualifier are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from processor.core.topics import MAX_EVENT_BYTES
from processor.gateway.log_tail import log_tail
from processor.gateway.platform_lines import with_platform_lines
from processor.gateway.run_end import MAX_WAIT_SEC, end_of
from processor.gateway.scf import shapes
from processor.gateway.scf.code import unpacked
from processor.gateway.scf.envelope import Fields, ScfError, answered, checked, refused
from processor.http.identity import uuid7
from processor.http.in_process import Api, address
from processor.http.message import Request, Response
from processor.http.patience import while_there
from processor.http.problems import Refused

HEADER = b"x-tc-action"
#: An event as a string in JSON, where each of its quotes is two characters.
MAX_BODY_BYTES = MAX_EVENT_BYTES * 2 + 65_536
_NO_EVENT = {404: "ResourceNotFound.AsyncEvent", 409: "FailedOperation.AsyncEventStatus"}
_WAIT_SEC = 60
_GRACE_SEC = 10
_PAGE = 1_000
#: Lists are counted and skipped through up to here; who needs more narrows the time.
_MAX_LISTED = 10_000
#: Of the log of one run, as there; its page in the console has the whole.
_LOG_BYTES = 65_536
#: These end with their caller; the others are done to their end.
_FOR_CALLERS = frozenset(("Invoke", "InvokeFunction", "TerminateAsyncEvent", "ListAsyncEvents", "GetFunctionLogs"))

Action = Callable[[Fields], Coroutine[Any, Any, Mapping[str, Any]]]


class ScfApi:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._actions: dict[str, Action] = {
            "Invoke": self._invoke,
            "InvokeFunction": self._invoke_function,
            "GetAsyncEventStatus": self._event_status,
            "ListAsyncEvents": self._list_events,
            "TerminateAsyncEvent": self._terminate,
            "GetFunction": self._get_function,
            "ListFunctions": self._list_functions,
            "CreateFunction": self._create_function,
            "DeleteFunction": self._delete_function,
            "GetFunctionLogs": self._function_logs,
        }

    async def respond(self, request: Request) -> Response:
        """request: POST / with the header X-TC-Action."""
        name = request.header(HEADER) or ""
        action = self._actions.get(name)
        try:
            if action is None:
                known = ", ".join(self._actions)
                raise ScfError("InvalidAction", f"no action is named {name!r}; there are {known}")
            fields = Fields.read(await request.body(MAX_BODY_BYTES))
            work = action(fields)
            return answered(await (while_there(request, work) if name in _FOR_CALLERS else work))
        except ScfError as error:
            return refused(error)
        except Refused as error:
            code = "InvalidParameter.RequestTooLarge" if error.problem.status == 413 else "InternalError.System"
            return refused(ScfError(code, f"{error.problem.detail}. {error.problem.remedy}"))

    # -- invocation

    async def _invoke(self, fields: Fields) -> Mapping[str, Any]:
        kind = fields.text("InvocationType", "RequestResponse")
        if kind not in ("RequestResponse", "Event"):
            raise ScfError("InvalidParameterValue", f"InvocationType {kind!r} is neither RequestResponse nor Event")
        return await self._run(fields.text("FunctionName"), fields.text("ClientContext", ""), waits=kind != "Event")

    async def _invoke_function(self, fields: Fields) -> Mapping[str, Any]:
        return await self._run(fields.text("FunctionName"), fields.text("Event", ""), waits=True)

    async def _run(self, name: str, event: str, *, waits: bool) -> Mapping[str, Any]:
        """With Async Execution it is the function that decides: every caller gets the RequestId at once."""
        function = checked(await self._api.get(address("v1", "functions", name)))
        where = address("v1", "functions", name, "invocations")
        answer = await self._api.call("POST", where, event.encode(), idempotency_key=uuid7(), prefer="respond-async")
        run = checked(answer)["request_id"]
        if function["async_execution"] or not waits:
            return {"Result": shapes.only_id(run)}
        return {"Result": await self._result(run)}

    async def _result(self, run: str) -> Mapping[str, Any]:
        answer = await end_of(self._api, run)
        if answer is None:
            problem = f"run {run} has not ended within {MAX_WAIT_SEC} s; it goes on"
            raise ScfError("FailedOperation.InvokeFunction", problem)
        document = checked(answer)
        return shapes.result(document, await self._log(document))

    # -- asynchronous events

    async def _event_status(self, fields: Fields) -> Mapping[str, Any]:
        return {"Result": shapes.async_status(await self._find(fields.text("InvokeRequestId")))}

    async def _terminate(self, fields: Fields) -> Mapping[str, Any]:
        """Returns once the run has ended."""
        run = await self._find(fields.text("InvokeRequestId"))
        if run["function"] != fields.text("FunctionName"):
            raise ScfError("ResourceNotFound.AsyncEvent", f"function {fields.text('FunctionName')!r} has no such event")
        grace = {"grace": _GRACE_SEC} if fields.flag("GraceShutdown") else {}
        where = address("v1", "runs", run["request_id"], "cancel", wait=_WAIT_SEC)
        answer = checked(await self._api.call("POST", where, grace), _NO_EVENT)
        if run["ended_at"] or not answer.get("cancelled", True):
            raise ScfError("FailedOperation.AsyncEventStatus", "the event has ended already")
        return {}

    async def _list_events(self, fields: Fields) -> Mapping[str, Any]:
        statuses, kinds = fields.texts("Status"), fields.texts("InvokeType")
        wanted = fields.text("InvokeRequestId", "")
        runs = [
            each
            for each in await self._runs(fields.text("FunctionName"), fields.part("StartTimeInterval"))
            if (not statuses or shapes.status_of(each) in statuses)
            and (not kinds or shapes.invoke_type_of(each) in kinds)
            and wanted in ("", each["request_id"])
        ]
        if fields.text("Orderby", "StartTime") == "EndTime":
            runs.sort(key=lambda each: each["ended_at"] or "", reverse=True)
        if fields.text("Order", "DESC") == "ASC":
            runs.reverse()
        offset, limit = fields.number("Offset", 0, _MAX_LISTED), fields.number("Limit", 20, 100)
        page = runs[offset : offset + limit]
        return {"TotalCount": len(runs), "EventList": [shapes.async_event(each) for each in page]}

    # -- functions

    async def _get_function(self, fields: Fields) -> Mapping[str, Any]:
        where = address("v1", "functions", fields.text("FunctionName"))
        return shapes.function_details(checked(await self._api.get(where)))

    async def _list_functions(self, fields: Fields) -> Mapping[str, Any]:
        functions = checked(await self._api.get(address("v1", "functions")))["functions"]
        sought = fields.text("SearchKey", "")
        found = [each for each in functions if sought in each["name"]]
        offset, limit = fields.number("Offset", 0, _MAX_LISTED), fields.number("Limit", 20, 100)
        return {
            "TotalCount": len(found),
            "Functions": [shapes.function(each) for each in found[offset : offset + limit]],
        }

    async def _create_function(self, fields: Fields) -> Mapping[str, Any]:
        name = fields.text("FunctionName")
        where = address("v1", "functions", name)
        if (await self._api.get(where)).ok:
            raise ScfError("ResourceInUse.Function", f"a function is named {name!r} already")
        module, _, attribute = fields.text("Handler").rpartition(".")
        wanted: dict[str, Any] = {
            "handler": f"{module}:{attribute}",
            "async_execution": fields.flag("AsyncRunEnable"),
            "env": {each.text("Key"): each.text("Value") for each in fields.part("Environment").parts("Variables")},
        }
        if fields.has("Timeout"):
            wanted["timeout"] = f"{fields.number('Timeout', 3, 86_400)}s"
        if fields.has("MemorySize"):
            wanted["memory"] = f"{fields.number('MemorySize', 128, 122_880)}Mi"
        with unpacked(fields.part("Code").text("ZipFile")) as code:
            checked(await self._api.call("PUT", where, {**wanted, "code": str(code)}))
        return {}

    async def _delete_function(self, fields: Fields) -> Mapping[str, Any]:
        checked(await self._api.call("DELETE", address("v1", "functions", fields.text("FunctionName"))))
        return {}

    # -- logs

    async def _function_logs(self, fields: Fields) -> Mapping[str, Any]:
        if fields.has("FunctionRequestId"):
            runs = [await self._find(fields.text("FunctionRequestId"))]
        else:
            runs = await self._runs(fields.text("FunctionName"), Fields({}))
        offset, limit = fields.number("Offset", 0, _MAX_LISTED), fields.number("Limit", 20, 100)
        page = runs[offset : offset + limit]
        return {
            "TotalCount": len(runs),
            "Data": [shapes.function_log(each, await self._log(each)) for each in page],
            "SearchContext": {},
        }

    async def _log(self, run: Mapping[str, Any]) -> str:
        ended = run["ended_at"] is not None
        return with_platform_lines(run, await log_tail(self._api, run["request_id"], _LOG_BYTES, ended=ended))

    async def _find(self, run: str) -> Mapping[str, Any]:
        document: Mapping[str, Any] = checked(await self._api.get(address("v1", "runs", run)), _NO_EVENT)
        return document

    async def _runs(self, name: str, interval: Fields) -> list[Mapping[str, Any]]:
        """Newest first."""
        checked(await self._api.get(address("v1", "functions", name)))
        try:
            since = shapes.since(interval.text("Start")) if interval.has("Start") else None
            until = shapes.since(interval.text("End")) if interval.has("End") else None
        except ValueError as error:
            raise ScfError("InvalidParameterValue.StartTimeInterval", str(error)) from error
        found: list[Mapping[str, Any]] = []
        cursor = None
        while len(found) < _MAX_LISTED:
            where = address("v1", "runs", function=name, since=since, until=until, limit=_PAGE, cursor=cursor)
            page = checked(await self._api.get(where))
            found += page["runs"]
            cursor = page["cursor"]
            if cursor is None:
                break
        return found
