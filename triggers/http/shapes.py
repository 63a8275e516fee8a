"""What a handler gets of an HTTP request, for each `event_format`. Pure."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson

from processor.core.event import Event, is_json_type
from processor.core.request_id import request_id
from processor.http.body import JSON, check_json, content_type_of
from triggers.http.call import HttpCall, joined

EVENT_TYPE = "headrace.http.request"
#: Where a platform would say which of its gateways it was.
_GATEWAY = "headrace"
_NO_ACCOUNT = "000000000000"
_TEXT_TYPES = ("application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded")


def event_of(call: HttpCall, event_format: str, function: str, *, event_id: str, source: str) -> Event:
    """function: whom the event is for; the platforms' events name its run. Raises Refused (400) for a body that says it
    is JSON and is not.
    """
    content_type, data = _data(call, event_format, function, source, event_id)
    return Event(
        id=event_id,
        source=source,
        type=EVENT_TYPE,
        subject=f"{call.method} {call.path}",
        time=_time(call.unix_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        datacontenttype=content_type,
        extensions=_extensions(call) if event_format == "cloudevents" else {},
        data=data,
    )


def _data(
    call: HttpCall, event_format: str, function: str, source: str, event_id: str
) -> tuple[str, bytes] | tuple[None, None]:
    """With its content type."""
    if event_format in _SHAPES:
        return JSON, orjson.dumps(_SHAPES[event_format](call, request_id(function, source, event_id)))
    if not call.body:
        return None, None
    content_type = content_type_of(call.content_type, call.body)
    if is_json_type(content_type):
        check_json(call.body)
    return content_type, call.body


def scf_event(call: HttpCall, run: str) -> dict[str, Any]:
    """Tencent's API gateway trigger. `isBase64Encoded` is there only with a body that is no text."""
    body, encoded = _body(call)
    query = joined(call.query_pairs)
    return {
        "requestContext": {
            "serviceId": _GATEWAY,
            "path": call.template,
            "httpMethod": "ANY" if call.any_method else call.method,
            "requestId": run,
            "identity": {},
            "sourceIp": call.source_ip,
            "stage": "release",
        },
        "headers": joined(call.headers),
        "body": body,
        "pathParameters": call.path_parameters,
        "queryStringParameters": query,
        "headerParameters": {},
        "stageVariables": {"stage": "release"},
        "path": call.path,
        "queryString": query,
        "httpMethod": call.method,
        **({"isBase64Encoded": True} if encoded else {}),
    }


def aws_event(call: HttpCall, run: str) -> dict[str, Any]:
    """HTTP API, payload format 2.0; what is empty is left out, as it is there."""
    body, encoded = _body(call)
    route = f"{'ANY' if call.any_method else call.method} {call.template}"
    headers = call.headers
    cookies = [each for name, value in headers if name == "cookie" for each in value.split("; ")]
    optional = {
        "cookies": cookies,
        "queryStringParameters": joined(call.query_pairs),
        "pathParameters": call.path_parameters,
        "body": body,
    }
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": call.path,
        "rawQueryString": call.query,
        "headers": joined([(name, value) for name, value in headers if name != "cookie"]),
        "requestContext": _aws_context(call, route, run),
        "isBase64Encoded": encoded,
        **{name: value for name, value in optional.items() if value},
    }


def _aws_context(call: HttpCall, route: str, run: str) -> dict[str, Any]:
    headers = dict(call.headers)
    host = headers.get("host", "").partition(":")[0]
    return {
        "accountId": _NO_ACCOUNT,
        "apiId": _GATEWAY,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": call.method,
            "path": call.path,
            "protocol": f"HTTP/{call.http_version}",
            "sourceIp": call.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": run,
        "routeKey": route,
        "stage": "$default",
        "time": _time(call.unix_ms).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": call.unix_ms,
    }


def _extensions(call: HttpCall) -> dict[str, str]:
    """The request around the body, as extension attributes: text only, so what has parts is JSON."""
    found = {"httpmethod": call.method, "httppath": call.path, "httpquery": call.query}
    found["httpheaders"] = orjson.dumps(joined(call.headers)).decode()
    if call.path_parameters:
        found["httpparameters"] = orjson.dumps(call.path_parameters).decode()
    return {name: value for name, value in found.items() if value}


def _body(call: HttpCall) -> tuple[str, bool]:
    """As text, or as base64 with True."""
    if _is_text(call.content_type):
        try:
            return call.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(call.body).decode(), True


def _is_text(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return not kind or kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml"))


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


_SHAPES = {"scf": scf_event, "aws": aws_event}
