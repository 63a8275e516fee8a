"""What /openapi.json says beyond the routes that FastAPI knows: the raw paths, and problems everywhere."""

from __future__ import annotations

from typing import Any

from processor.core.topics import MAX_EVENT_BYTES
from processor.gateway.schemas import documents
from processor.gateway.schemas.parameters import LogQuery, Query

PROBLEM: dict[str, Any] = {
    "description": "Refused: what is wrong, and what to do about it.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ABOUT = """Asynchronous functions on events: at most one start, exactly one verdict.

Every refusal is a problem document (RFC 9457) with a `remedy`; 429 and 503 carry `Retry-After`. HEAD is answered like
GET, OPTIONS names the methods. Lists go on with `cursor`. Bodies of the control addresses are JSON, whatever their
Content-Type says.
"""
_DOCUMENTS = (documents.Problem, documents.Accepted, documents.EventsAccepted, documents.Health, documents.Run)


def described(document: dict[str, Any]) -> dict[str, Any]:
    document["info"]["description"] = _ABOUT
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _DOCUMENTS:
        made = model.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas.update(made.pop("$defs", {}))
        schemas[model.__name__] = made
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["paths"].update(_raw_paths())
    for item in document["paths"].values():
        for operation in item.values():
            _add_problems(operation)
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _add_problems(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None) if "HTTPValidationError" in str(responses.get("422")) else None
    for status in ("500", "503"):
        responses.setdefault(status, PROBLEM)
    responses["503"] = responses["503"] | {"headers": {"Retry-After": {"schema": {"type": "integer"}}}}


def _raw_paths() -> dict[str, Any]:
    return {
        "/v1/functions/{name}/invocations": {"post": _invoke()},
        "/v1/events": {"post": _events()},
        "/v1/runs/{request_id}/logs": {"get": _logs()},
        "/v1/runs/changes": {"get": _changes()},
        "/healthz": {"get": _health("The process lives.", "alive")},
        "/readyz": {"get": _health("Every request can be served.", "ready")},
    }


def _invoke() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "operationId": "invoke",
        "summary": "Send an event to a function",
        "description": (
            "Answers 202 with the RequestId once the event is durable. A function with `async_execution: false` "
            "answers when its run has ended, at most 15 minutes later: 200 with the run document; closing the "
            "connection cancels nothing."
        ),
        "parameters": [
            _path("name", "Name of the function"),
            _header("Idempotency-Key", "The same key is the same run, for 10 minutes at least.", 255),
        ],
        "requestBody": _any_body(),
        "responses": {
            "200": _json("The run of a synchronous function, ended.", "Run"),
            "202": _json("Accepted.", "Accepted"),
            **_problems(400, 404, 408, 409, 413, 415, 422, 429),
        },
    }


def _events() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "operationId": "postEvents",
        "summary": "Send CloudEvents to the functions that want them",
        "description": "Binary, structured or batch mode of the CloudEvents 1.0 HTTP binding.",
        "requestBody": {
            "content": {
                "application/cloudevents+json": {"schema": {"type": "object"}},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
                "*/*": {"schema": {}},
            }
        },
        "responses": {
            "202": _json("Accepted.", "EventsAccepted"),
            **_problems(400, 404, 408, 409, 413, 415, 422, 429),
        },
    }


def _logs() -> dict[str, Any]:
    return {
        "tags": ["runs"],
        "operationId": "getRunLogs",
        "summary": "A run's log lines, or its lines as they come",
        "description": (
            "follow=1: server-sent events `line` (id: the seq) and `progress` (the member of the run document; no id), "
            "then `end` with the run document, or `cut` with the reason. Connect again with `Last-Event-ID` to go on "
            "after it."
        ),
        "parameters": [
            _path("request_id", "RequestId"),
            *_query(LogQuery),
            _header("Last-Event-ID", "The seq of the last line that was seen.", 20),
        ],
        "responses": {
            "200": {
                "description": "The lines.",
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    "application/x-ndjson": {"schema": {}},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            **_problems(400, 404),
        },
    }


def _changes() -> dict[str, Any]:
    from processor.gateway.schemas.parameters import ChangesQuery

    return {
        "tags": ["runs"],
        "operationId": "followRuns",
        "summary": "Runs as they change",
        "description": (
            "Server-sent events: `ready` when everything from now on is told; `run` with the members of the run "
            "document that have changed (all of them when it is accepted, never the result); `many` with a `count` "
            "instead, when there are too many at a time. Connect again with `Last-Event-ID`: what changed meanwhile "
            "is told first; `reset` says that it is not known any more: load the list anew."
        ),
        "parameters": [
            *_query(ChangesQuery),
            _header("Last-Event-ID", "The id of the last event that was seen.", 64),
        ],
        "responses": {
            "200": {"description": "The changes.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
            **_problems(400),
        },
    }


def _health(about: str, status: str) -> dict[str, Any]:
    return {
        "tags": ["health"],
        "operationId": status,
        "summary": about,
        "responses": {"200": _json(about, "Health")},
    }


def _json(about: str, model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): PROBLEM for status in statuses}


def _any_body() -> dict[str, Any]:
    about = f"The event's data, at most {MAX_EVENT_BYTES:,} bytes; or a CloudEvent in binary or structured mode."
    return {"description": about, "content": {"application/json": {"schema": {}}, "*/*": {"schema": {}}}}


def _path(name: str, about: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def _header(name: str, about: str, max_chars: int) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": max_chars}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def _query(model: type[Query]) -> list[dict[str, Any]]:
    properties = model.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.pop("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "title"},
        }
        for name, schema in properties.items()
    ]
