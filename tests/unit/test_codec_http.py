from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.codec import HttpMode, Malformed, decode_http, decode_http_batch, encode_structured, http_mode
from processor.core.event import Event

#: Section 3.1.4 of the HTTP binding 1.0.2.
BINARY = [
    (b"ce-specversion", b"1.0"),
    (b"ce-type", b"com.example.someevent"),
    (b"ce-time", b"2018-04-05T03:56:24Z"),
    (b"ce-id", b"1234-1234-1234"),
    (b"ce-source", b"/mycontext/subcontext"),
    (b"Content-Type", b"application/json; charset=utf-8"),
]
STRUCTURED = (b"content-type", b"application/cloudevents+json; charset=utf-8")
BATCH = b"application/cloudevents-batch+json; charset=UTF-8"
DEEP = b"[" * 1_020 + b"]" * 1_020
EVENT = Event(id="1", source="/s", type="t", datacontenttype="application/json", data=b'{"a":1}')


def decoded(headers: list[tuple[bytes, bytes]], body: bytes) -> Event:
    event = decode_http(headers, body)
    assert isinstance(event, Event), event
    return event


def subject(value: bytes) -> str | None:
    return decoded([*BINARY, (b"ce-subject", value)], b"{}").subject


def test_the_binary_example_of_the_specification_is_understood() -> None:
    assert decoded(BINARY, b'{"a": 1}') == Event(
        id="1234-1234-1234",
        source="/mycontext/subcontext",
        type="com.example.someevent",
        time="2018-04-05T03:56:24Z",
        datacontenttype="application/json; charset=utf-8",
        data=b'{"a": 1}',
    )


def test_header_names_come_in_any_case() -> None:
    assert decoded([(name.title(), value) for name, value in BINARY], b"").id == "1234-1234-1234"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the example of section 3.1.3.2
        (b"50%25", "50%"),
        (b"50%2525", "50%25"),
        (b"100%", "100%"),
        (b'"quoted \\"text\\" %25"', 'quoted "text" %'),
        (b'"', '"'),
        (b"plain+text", "plain+text"),
        ("Zoë".encode(), "Zoë"),
    ],
)
def test_header_values_are_unquoted_and_percent_decoded_once(raw: bytes, text: str) -> None:
    assert subject(raw) == text


def test_an_empty_body_without_a_content_type_is_no_data() -> None:
    assert decoded(BINARY[:5], b"").data is None
    assert decoded(BINARY, b"").data == b""


def test_a_structured_request_is_understood_whatever_its_ce_headers_say() -> None:
    assert decoded([*BINARY[:5], STRUCTURED], encode_structured(EVENT)) == EVENT


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ([], b"{}", "no CloudEvent"),
        ([*BINARY, (b"ce-subject", b"%FF")], b"", "not UTF-8"),
        ([*BINARY, (b"ce-subject", b"\xff")], b"", "not UTF-8"),
        ([*BINARY, (b"CE-ID", b"2")], b"", "'ce-id' comes twice"),
        ([*BINARY, (b"ce-datacontenttype", b"a/b")], b"", "'Content-Type'"),
        ([*BINARY[:5], (b"content-type", b"\xff")], b"", "'Content-Type' is not UTF-8"),
        ([*BINARY, (b"ce-my_ext", b"x")], b"", "'my_ext' is not allowed"),
        ([(b"content-type", BATCH)], b"[]", "batch"),
        ([(b"content-type", b"application/cloudevents+protobuf")], b"", "cloudevents+json"),
        ([(b"content-type", b"application/cloudevents")], encode_structured(EVENT), "cloudevents+json"),
    ],
)
def test_what_is_no_event_is_malformed_with_a_remedy(
    headers: list[tuple[bytes, bytes]], body: bytes, said: str
) -> None:
    found = decode_http(headers, body)
    assert isinstance(found, Malformed)
    assert said in found.reason


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ([], HttpMode.PLAIN),
        ([(b"content-type", b"application/json"), (b"cex-id", b"1")], HttpMode.PLAIN),
        ([(b"ce-id", b"1")], HttpMode.BINARY),
        ([(b"ce-id", b"1"), STRUCTURED], HttpMode.STRUCTURED),
        ([(b"CONTENT-TYPE", BATCH.upper())], HttpMode.BATCH),
    ],
)
def test_the_mode_is_told_from_the_headers(headers: list[tuple[bytes, bytes]], mode: HttpMode) -> None:
    assert http_mode(headers) is mode


def test_each_event_of_a_batch_is_decoded_by_itself() -> None:
    other = Event(id="2", source="/s", type="t", data=b"123456789012345678901234567890")
    body = b" [ " + encode_structured(EVENT) + b' , {"id":5}, ' + encode_structured(other) + b" ] "
    first, second, third = list(decode_http_batch(BATCH, body))  # type: ignore[arg-type]  # a list here
    assert (first, third) == (EVENT, other)
    assert isinstance(second, Malformed)
    assert decode_http_batch(BATCH, b"[]") == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/json", b"[]"),
        (BATCH, b"{}"),
        (BATCH, b"["),
        (BATCH, b"[" * 1_020 + b"]" * 1_020),
        (BATCH, b"[1,]"),
    ],
)
def test_what_is_no_batch_is_malformed(content_type: bytes, body: bytes) -> None:
    found = decode_http_batch(content_type, body)
    assert isinstance(found, Malformed) or isinstance(found[0], Malformed)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"ce-id", b"ce-source", b"content-type", b"ce-"]) | st.binary(), st.binary()),
        max_size=6,
    ),
    st.binary(max_size=20),
)
def test_no_request_raises(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert isinstance(decode_http(headers, body), (Event, Malformed))


@given(st.lists(st.builds(Event, id=st.just("1"), source=st.just("s"), type=st.text(min_size=1).filter(str.isalnum))))
def test_a_batch_survives(events: list[Event]) -> None:
    body = b"[" + b",".join(map(encode_structured, events)) + b"]"
    assert len(orjson.loads(body)) == len(events)
    assert decode_http_batch(BATCH, body) == events
