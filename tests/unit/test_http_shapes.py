"""The fields and their forms are those of the platforms' published examples (reference: Tencent's API gateway trigger,
AWS's HTTP API payload format 2.0).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_structured, encode_structured
from processor.core.event import Event
from processor.http.problems import Refused
from triggers.http.call import HttpCall
from triggers.http.shapes import aws_event, event_of, scf_event

CALL = HttpCall(
    method="POST",
    path="/test/a%20value",
    template="/test/{path}",
    any_method=False,
    path_parameters={"path": "a value"},
    query="foo=bar&bob=alice&foo=x%26y&empty=",
    raw_headers=[
        (b"accept", b"application/json"),
        (b"host", b"hooks.example.com:8788"),
        (b"user-agent", b"UA"),
        (b"content-type", b"application/json"),
        (b"x-many", b"1"),
        (b"x-many", b"2"),
        (b"cookie", b"a=1; b=2"),
        (b"authorization", b"Bearer s3cret"),
    ],
    secret=frozenset({b"authorization"}),
    content_type="application/json",
    body=b'{"test":"body"}',
    source_ip="10.0.2.14",
    http_version="1.1",
    unix_ms=1_583_348_638_390,
)
RUN = "c6af9ac6-7b61-8dab-8d2c-a7ea55b9a3c1"
PICTURE = replace(CALL, content_type="image/png", body=b"\x89PNG\x00")


def event(call: HttpCall, event_format: str) -> Event:
    return event_of(call, event_format, "f", event_id="e1", source="headrace:http/f/test/a%20value")


def test_the_scf_shape_is_that_of_the_api_gateway_trigger() -> None:
    assert scf_event(CALL, RUN) == {
        "requestContext": {
            "serviceId": "headrace",
            "path": "/test/{path}",
            "httpMethod": "POST",
            "requestId": RUN,
            "identity": {},
            "sourceIp": "10.0.2.14",
            "stage": "release",
        },
        "headers": {
            "accept": "application/json",
            "host": "hooks.example.com:8788",
            "user-agent": "UA",
            "content-type": "application/json",
            "x-many": "1,2",
            "cookie": "a=1; b=2",
        },
        "body": '{"test":"body"}',
        "pathParameters": {"path": "a value"},
        "queryStringParameters": {"foo": "bar,x&y", "bob": "alice", "empty": ""},
        "headerParameters": {},
        "stageVariables": {"stage": "release"},
        "path": "/test/a%20value",
        "queryString": {"foo": "bar,x&y", "bob": "alice", "empty": ""},
        "httpMethod": "POST",
    }


def test_the_aws_shape_is_payload_format_2() -> None:
    assert aws_event(CALL, RUN) == {
        "version": "2.0",
        "routeKey": "POST /test/{path}",
        "rawPath": "/test/a%20value",
        "rawQueryString": "foo=bar&bob=alice&foo=x%26y&empty=",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "accept": "application/json",
            "host": "hooks.example.com:8788",
            "user-agent": "UA",
            "content-type": "application/json",
            "x-many": "1,2",
        },
        "queryStringParameters": {"foo": "bar,x&y", "bob": "alice", "empty": ""},
        "pathParameters": {"path": "a value"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "headrace",
            "domainName": "hooks.example.com",
            "domainPrefix": "hooks",
            "http": {
                "method": "POST",
                "path": "/test/a%20value",
                "protocol": "HTTP/1.1",
                "sourceIp": "10.0.2.14",
                "userAgent": "UA",
            },
            "requestId": RUN,
            "routeKey": "POST /test/{path}",
            "stage": "$default",
            "time": "04/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1_583_348_638_390,
        },
        "body": '{"test":"body"}',
        "isBase64Encoded": False,
    }


def test_a_route_for_any_method_says_so_and_the_request_says_which() -> None:
    call = replace(CALL, any_method=True, method="DELETE", body=b"", query="", path_parameters={}, raw_headers=[])
    assert scf_event(call, RUN)["requestContext"]["httpMethod"] == "ANY"
    assert scf_event(call, RUN)["httpMethod"] == "DELETE"
    aws = aws_event(call, RUN)
    assert aws["routeKey"] == "ANY /test/{path}"
    assert aws["requestContext"]["http"]["method"] == "DELETE"
    assert aws.keys().isdisjoint({"body", "cookies", "queryStringParameters", "pathParameters"})


@pytest.mark.parametrize(
    ("content_type", "body", "as_text", "encoded"),
    [
        ("image/png", b"\x89PNG\x00", "iVBORwA=", True),
        ("image/png", b"text", "dGV4dA==", True),
        ("text/plain; charset=utf-8", "grün".encode(), "grün", False),
        ("text/plain", b"\xff", "/w==", True),
        ("application/x-www-form-urlencoded", b"a=1", "a=1", False),
        ("application/vnd.api+json", b"{}", "{}", False),
        ("", b"{", "{", False),
    ],
)
def test_a_body_is_text_where_it_says_so_and_else_base64(
    content_type: str, body: bytes, as_text: str, encoded: bool
) -> None:
    call = replace(CALL, content_type=content_type, body=body)
    assert (aws_event(call, RUN)["body"], aws_event(call, RUN)["isBase64Encoded"]) == (as_text, encoded)
    scf = scf_event(call, RUN)
    assert (scf["body"], scf.get("isBase64Encoded", False)) == (as_text, encoded)


@pytest.mark.parametrize("event_format", ["scf", "aws"])
def test_a_platforms_shape_is_the_json_data_of_the_event(event_format: str) -> None:
    found = event(PICTURE, event_format)
    assert found.datacontenttype == "application/json"
    document: dict[str, Any] = orjson.loads(found.data or b"")
    assert document["isBase64Encoded"] is True
    assert (found.id, found.subject, found.time) == ("e1", "POST /test/a%20value", "2020-03-04T19:03:58.390Z")
    assert decode_structured(encode_structured(found)) == found


def test_a_cloud_event_has_the_body_as_data_and_the_request_around_it() -> None:
    found = event(CALL, "cloudevents")
    assert (found.type, found.data, found.datacontenttype) == ("headrace.http.request", CALL.body, "application/json")
    assert {name: found.extensions[name] for name in ("httpmethod", "httppath", "httpquery", "httpparameters")} == {
        "httpmethod": "POST",
        "httppath": "/test/a%20value",
        "httpquery": "foo=bar&bob=alice&foo=x%26y&empty=",
        "httpparameters": '{"path":"a value"}',
    }
    assert orjson.loads(found.extensions["httpheaders"])["x-many"] == "1,2"
    assert decode_structured(encode_structured(found)) == found


def test_data_is_the_body_and_nothing_else() -> None:
    assert (event(PICTURE, "data").data, event(PICTURE, "data").datacontenttype) == (b"\x89PNG\x00", "image/png")
    assert event(PICTURE, "data").extensions == {}
    nothing = event(replace(CALL, body=b""), "data")
    assert (nothing.data, nothing.datacontenttype) == (None, None)


@pytest.mark.parametrize("event_format", ["data", "cloudevents"])
def test_a_body_that_is_not_the_json_it_says_is_refused(event_format: str) -> None:
    with pytest.raises(Refused, match="the body is not JSON"):
        event(replace(CALL, body=b"{"), event_format)
    deep = replace(CALL, body=b"[" * 100_000)
    with pytest.raises(Refused, match="the body is not JSON"):
        event(deep, event_format)


def test_headers_outside_ascii_survive() -> None:
    call = replace(CALL, raw_headers=[(b"x-odd", b"\x80\xff")])
    for event_format in ("scf", "aws", "cloudevents"):
        found = event(call, event_format)
        assert decode_structured(encode_structured(found)) == found
