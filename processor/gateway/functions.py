"""`/v1/functions`: what is deployed, and deploying."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson

from processor.core.function import Function
from processor.dispatcher.accept import UnknownFunction
from processor.gateway.catalog import Catalog
from processor.gateway.parameters import Parameters
from processor.http.message import Request, Response, json_response
from processor.http.problems import Problem, Refused, bad_request
from processor.registry.code_store import CodeStore
from processor.registry.manifest import EntryInvalid, parse_entry
from processor.registry.registry import Registry
from processor.registry.spec import FunctionSpec, notes

#: A manifest entry is some hundred bytes.
_MAX_ENTRY_BYTES = 1_048_576


class FunctionRoutes:
    def __init__(self, *, catalog: Catalog, registry: Registry, code: CodeStore) -> None:
        self._catalog = catalog
        self._registry = registry
        self._code = code

    async def list(self, request: Request) -> Response:
        Parameters(request.query, known=()).check()
        return json_response({"functions": [function_document(each) for each in self._catalog.functions()]})

    async def get(self, request: Request, name: str) -> Response:
        Parameters(request.query, known=()).check()
        function = self._catalog.find(name)
        if function is None:
            raise UnknownFunction(name)
        return json_response(function_document(function))

    async def put(self, request: Request, name: str) -> Response:
        """The entry has the form of the manifest's; `code` is an absolute path on this host."""
        Parameters(request.query, known=()).check()
        wanted = parse_wanted(name, await request.body(_MAX_ENTRY_BYTES))
        function = await asyncio.to_thread(self._registry.deploy, wanted, self._code, actor=_actor(request))
        await self._catalog.seen(function)
        document = function_document(function) | {"notes": notes(function)}
        return json_response(document, status=201 if function.revision == 1 else 200)

    async def set_paused(self, request: Request, name: str, paused: bool) -> Response:
        """Also for a function that is so already."""
        Parameters(request.query, known=()).check()
        if self._catalog.find(name) is None:
            raise UnknownFunction(name)
        function = await asyncio.to_thread(self._registry.set_paused, name, paused, actor=_actor(request))
        await self._catalog.seen(function)
        return json_response(function_document(function))


def _actor(request: Request) -> str:
    return f"api {(request.scope.get('client') or ('unknown',))[0]}"


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
