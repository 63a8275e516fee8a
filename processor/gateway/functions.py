"""`/v1/functions`: what is deployed, and deploying."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from processor.core.function import Function
from processor.dispatcher.accept import UnknownFunction
from processor.gateway.answers import answer
from processor.gateway.catalog import Catalog
from processor.gateway.queues import Queues
from processor.gateway.routes import Actor, Endpoint, FunctionName, Route
from processor.gateway.schemas import documents
from processor.http.problems import Problem, Refused, bad_request
from processor.registry.code_store import CodeStore
from processor.registry.manifest import EntryInvalid, parse_entry
from processor.registry.registry import Registry
from processor.registry.spec import FunctionSpec, notes


class FunctionRoutes:
    def __init__(self, *, catalog: Catalog, registry: Registry, code: CodeStore, queues: Queues) -> None:
        self._catalog = catalog
        self._queues = queues
        self._registry = registry
        self._code = code

    def routes(self) -> list[Route]:
        return [
            _route("GET", "", self.list, "List functions", {200: documents.FunctionList}),
            _route("GET", "/{name}", self.get, "One function", {200: documents.Function}),
            _route("PUT", "/{name}", self.put, "Deploy a function", _DEPLOYED, 409, 422, more=_ENTRY),
            _route("POST", "/{name}/pause", self.pause, "Stop starting its runs; events wait", _FUNCTION, 409),
            _route("POST", "/{name}/resume", self.resume, "Start its runs again", _FUNCTION, 409),
            _route("POST", "/{name}/disable", self.disable, "Take no new events; what waits is run", _FUNCTION, 409),
            _route("POST", "/{name}/enable", self.enable, "Take events again", _FUNCTION, 409),
            _route("DELETE", "/{name}", self.delete, "Close, drain and remove", _DELETED, 409),
        ]

    async def list(self) -> Response:
        return answer({"functions": [function_document(each) for each in self._catalog.functions()]})

    async def get(self, name: FunctionName) -> Response:
        return answer(function_document(self._known(name)))

    async def put(self, request: Request, name: FunctionName, actor: Actor) -> Response:
        """The entry has the form of the manifest's; `code` is an absolute path on the gateway's host. What is the same
        changes nothing.
        """
        wanted = parse_wanted(name, await request.body())
        function = await asyncio.to_thread(self._registry.deploy, wanted, self._code, actor=actor)
        await self._catalog.seen(function)
        document = function_document(function) | {"notes": notes(function)}
        return answer(document, status=201 if function.revision == 1 else 200)

    async def pause(self, name: FunctionName, actor: Actor) -> Response:
        return await self._set_paused(name, True, actor)

    async def resume(self, name: FunctionName, actor: Actor) -> Response:
        return await self._set_paused(name, False, actor)

    async def disable(self, name: FunctionName, actor: Actor) -> Response:
        """HTTP callers get 409, triggers stop. The next deploy sets it as the manifest says."""
        return await self._set_enabled(name, False, actor)

    async def enable(self, name: FunctionName, actor: Actor) -> Response:
        return await self._set_enabled(name, True, actor)

    async def delete(self, name: FunctionName, actor: Actor) -> Response:
        """Takes no new events from now on. 202: some still wait or run, `left` of them; ask again until it is 200. What
        is accepted in the moment of the removal ends as FAILED 435.
        """
        function = await self._closed(self._known(name), actor)
        left = await self._queues.left(function)
        if left:
            return answer({"name": name, "deleted": False, "left": left}, status=202)
        await asyncio.to_thread(self._registry.remove, name, actor=actor)
        await self._catalog.gone(name)
        return answer({"name": name, "deleted": True, "left": 0})

    async def _closed(self, function: Function, actor: str) -> Function:
        if not function.enabled:
            return function
        closed = await asyncio.to_thread(self._registry.set_enabled, function.name, False, actor=actor)
        await self._catalog.seen(closed)
        return closed

    async def _set_enabled(self, name: str, enabled: bool, actor: str) -> Response:
        self._known(name)
        function = await asyncio.to_thread(self._registry.set_enabled, name, enabled, actor=actor)
        await self._catalog.seen(function)
        return answer(function_document(function))

    async def _set_paused(self, name: str, paused: bool, actor: str) -> Response:
        """Also for a function that is so already."""
        self._known(name)
        function = await asyncio.to_thread(self._registry.set_paused, name, paused, actor=actor)
        await self._catalog.seen(function)
        return answer(function_document(function))

    def _known(self, name: str) -> Function:
        function = self._catalog.find(name)
        if function is None:
            raise UnknownFunction(name)
        return function


_DELETED = {200: documents.Deleted, 202: documents.Deleted}
_FUNCTION = {200: documents.Function}
_DEPLOYED = {200: documents.Deployed, 201: documents.Deployed}
_ENTRY = {
    "requestBody": {
        "required": True,
        "description": "One entry of `functions` in the manifest (config/functions.schema.json).",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["handler", "code"],
                    "properties": {
                        "handler": {"type": "string", "examples": ["module:callable"]},
                        "code": {"type": "string", "description": "Absolute path on the gateway's host."},
                    },
                }
            }
        },
    }
}


def _route(
    method: str, path: str, endpoint: Endpoint, summary: str, answers: Mapping[int, type], *problems: int,
    more: Mapping[str, Any] | None = None,
) -> Route:  # fmt: skip
    return Route(
        method=method,
        path=f"/v1/functions{path}",
        endpoint=endpoint,
        summary=summary,
        answers=answers,
        problems=problems,
        tag="functions",
        more=more or {},
    )


def parse_wanted(name: str, body: bytes) -> FunctionSpec:
    """Raises Refused: 400 when the body is no JSON object, 422 that lists every mistake in it."""
    try:
        entry = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}", remedy=_REMEDY) from error
    if not isinstance(entry, dict):
        raise bad_request("the body is not a JSON object", remedy=_REMEDY)
    errors = _code_errors(entry.get("code"))
    try:
        wanted = parse_entry(name, entry, Path("/"))
    except EntryInvalid as error:
        known = {each["pointer"] for each in errors}
        errors += [
            {"pointer": each.pointer, "detail": each.message, "remedy": each.remedy}
            for each in error.problems
            if each.pointer not in known
        ]
        raise _invalid(errors) from error
    if errors:
        raise _invalid(errors)
    return wanted


def _code_errors(code: object) -> list[dict[str, Any]]:
    """A relative path would be relative to wherever the gateway was started."""
    if isinstance(code, str) and Path(code).is_absolute():
        return []
    remedy = "Name a directory or a zip file on that host, from the root on."
    return [{"pointer": "/code", "detail": "code must be an absolute path on the gateway's host", "remedy": remedy}]


def function_document(function: Function) -> dict[str, Any]:
    """Of `env` only the names: values are often secrets."""
    current = function.current
    return {
        "name": function.name,
        "version": current.version,
        "handler": current.handler,
        "code_digest": current.code_digest,
        "enabled": function.enabled,
        "paused": function.paused,
        "async_execution": function.async_execution,
        "timeout_sec": current.timeout_sec,
        "memory_bytes": current.memory_bytes,
        "concurrency": function.concurrency,
        "rate_per_sec": function.rate_per_sec,
        "max_queue_age_sec": function.max_queue_age_sec,
        "claim_ahead_sec": function.claim_ahead_sec,
        "queue_partitions": function.queue_partitions,
        "env": sorted(current.env),
        "role": current.role,
        "events": function.events,
        "creation": function.creation,
        "revision": function.revision,
        "previous": [each.version for each in function.previous],
    }


_REMEDY = 'Send the function as in the manifest, as JSON: {"handler": "module:callable", "code": "/absolute/path"}.'


def _invalid(errors: list[dict[str, Any]]) -> Refused:
    return Refused(
        Problem(
            status=422,
            name="function-invalid",
            title="Function invalid",
            detail="; ".join(each["detail"] for each in errors),
            remedy="Correct what `errors` lists; the manifest's JSON Schema describes every field.",
            errors=errors,
        )
    )
