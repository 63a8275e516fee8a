"""The control API on FastAPI: routing, validation and /openapi.json. The hot and the streaming paths are raw ASGI."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request as Asked
from starlette.responses import Response

from processor.core.errors import HeadraceError
from processor.core.topics import MAX_EVENT_BYTES
from processor.gateway import asyncapi
from processor.gateway.answers import answer, problem_answer
from processor.gateway.openapi import PROBLEM, described
from processor.gateway.problems import problem_of
from processor.gateway.refusals import refused_body, refused_query, refused_unknown
from processor.gateway.routes import Route
from processor.http.app import BUG, in_time, without_handler
from processor.http.message import Message, Receive, Request, Scope, Send
from processor.http.message import Response as Plain
from processor.http.problems import bad_request, not_found

log = logging.getLogger(__name__)

#: A replay may carry a whole event.
MAX_BODY_BYTES = MAX_EVENT_BYTES * 4 // 3 + 65_536
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")


class Control:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._document: dict[str, Any] | None = None
        self._app = FastAPI(
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={
                HeadraceError: _on_error,
                RequestValidationError: _on_invalid,
                HTTPException: _on_http,
                Exception: _on_bug,
            },
        )
        for route in routes:
            self._add(route)
        self._app.add_api_route("/openapi.json", self._openapi, include_in_schema=False)
        self._app.add_api_route("/asyncapi.json", self._asyncapi, include_in_schema=False)
        self._routes = [each for each in self._app.routes if isinstance(each, APIRoute)]

    async def respond(self, request: Request, send: Send) -> Plain | None:
        """None: it has sent its answer. Raises Refused (400, 404, 405, 408, 413), ClientGone."""
        scope = _scope_of(request)
        found = self._at(scope["path"])
        if not found:
            raise not_found(f"there is nothing at {request.path}", remedy="/openapi.json lists every address.")
        route = found.get(scope["method"])
        if route is None:
            return without_handler(request, [*found, *(["HEAD"] if "GET" in found else [])])
        if request.query and not _known(route):
            raise refused_unknown(request.query)
        body = await request.body(MAX_BODY_BYTES) if scope["method"] in _WITH_BODY else b""
        await in_time(self._call(scope, body, send))
        return None

    def document(self) -> dict[str, Any]:
        """OpenAPI 3.1, the raw paths included."""
        if self._document is None:
            made = get_openapi(title="Headrace", version=version("headrace"), routes=self._routes)
            self._document = described(made)
        return self._document

    async def _openapi(self) -> Response:
        return answer(self.document())

    async def _asyncapi(self) -> Response:
        return answer(asyncapi.document())

    def _add(self, route: Route) -> None:
        responses: dict[int | str, dict[str, Any]] = {
            status: {"model": model, "description": model.__doc__ or "Done."} for status, model in route.answers.items()
        }
        self._app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            summary=route.summary,
            description=(route.endpoint.__doc__ or "").strip() or None,
            tags=[route.tag],
            operation_id=f"{route.tag}.{route.endpoint.__name__}",
            status_code=min(route.answers),
            responses=responses | dict.fromkeys((400, 404, *route.problems), PROBLEM),
            openapi_extra=dict(route.more) or None,
            response_model=None,
        )

    def _at(self, path: str) -> dict[str, APIRoute]:
        """By method."""
        return {method: each for each in self._routes if each.path_regex.match(path) for method in each.methods or ()}

    async def _call(self, scope: Scope, body: bytes, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, _whole(body), noted)
        except Exception:
            if not begun:
                raise
            # The answer has been given by _on_bug; Starlette raises the error nevertheless.


def _scope_of(request: Request) -> Scope:
    """HEAD is served by GET, and the server leaves the body out. A body is JSON, whatever curl calls it."""
    encoded = any("/" in each for each in request.segments)
    path = request.path if encoded else "/" + "/".join(request.segments)  # an encoded slash separates nothing
    headers = [each for each in request.scope["headers"] if each[0] not in (b"content-type", b"content-length")]
    return {
        **request.scope,
        "method": "GET" if request.method == "HEAD" else request.method,
        "path": path,
        "headers": [*headers, (b"content-type", b"application/json")],
    }


def _whole(body: bytes) -> Receive:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return parts.pop() if parts else {"type": "http.disconnect"}

    return receive


def _instance(asked: Asked) -> str:
    return str(asked.scope["raw_path"].partition(b"?")[0].decode("latin-1"))


async def _on_error(asked: Asked, error: Exception) -> Response:
    assert isinstance(error, HeadraceError)
    return problem_answer(problem_of(error), _instance(asked))


async def _on_invalid(asked: Asked, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    of_query = [each for each in errors if each["loc"][0] == "query"]
    refused = refused_query(of_query, _known(asked.scope.get("route"))) if of_query else refused_body(errors)
    return problem_answer(refused.problem, _instance(asked))


async def _on_http(asked: Asked, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = bad_request("the body cannot be read as JSON", remedy="Send UTF-8 JSON.")
    return problem_answer(refused.problem, _instance(asked))


async def _on_bug(asked: Asked, error: Exception) -> Response:
    log.error("%s %s failed", asked.method, _instance(asked), exc_info=error, extra={"action": "request_failed"})
    return problem_answer(BUG, _instance(asked))


def _known(route: object) -> list[str]:
    """The names of its parameters."""
    fields = route.dependant.query_params if isinstance(route, APIRoute) else []
    return [name for each in fields for name in getattr(each.field_info.annotation, "model_fields", {})]
