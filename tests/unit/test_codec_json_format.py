from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processor.core.codec import Malformed, Unencodable, decode_structured, encode_structured
from processor.core.event import Event

EVENT = Event(id="1", source="/s", type="t")
REQUIRED = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}

#: The examples of the JSON format, sections 3.2 and 4.2, of version 1.0.2.
SPEC_EXAMPLES: list[tuple[str, bytes | None]] = [
    (
        """{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "id" : "A234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "unsetextension": null,
    "datacontenttype" : "application/vnd.apache.thrift.binary",
    "data_base64" : "YWJjZGVm"
}""",
        b"abcdef",
    ),
    (
        """{
    "specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "subject": null,
    "id" : "B234-1234-1234", "time" : "2018-04-05T17:31:00Z", "comexampleextension1" : "value",
    "comexampleothervalue" : 5, "datacontenttype" : "application/json",
    "data" : { "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true }
}""",
        b'{ "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true }',
    ),
    (
        """{
    "specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext",
    "id" : "C234-1234-1234", "time" : "2018-04-05T17:31:00Z", "datacontenttype" : "application/xml",
    "data" : "<much wow=\\"xml\\"/>"
}""",
        b'<much wow="xml"/>',
    ),
]


def decoded(value: bytes | dict[str, Any]) -> Event:
    event = decode_structured(value if isinstance(value, bytes) else orjson.dumps(value))
    assert isinstance(event, Event), event
    return event


def reason(value: bytes | dict[str, Any]) -> str:
    found = decode_structured(value if isinstance(value, bytes) else orjson.dumps(value))
    assert isinstance(found, Malformed), found
    return found.reason


@pytest.mark.parametrize(("text", "data"), SPEC_EXAMPLES)
def test_the_examples_of_the_specification_are_understood(text: str, data: bytes) -> None:
    event = decoded(text.encode())
    assert event.type == "com.example.someevent"
    assert event.source == "/mycontext"
    assert event.time == "2018-04-05T17:31:00Z"
    assert (event.data or b"").strip() == data


def test_extensions_become_text_and_null_ones_are_absent() -> None:
    event = decoded(
        REQUIRED | {"a": "x", "n": 5, "yes": True, "no": False, "unset": None, "empty": "", "subject": None}
    )
    assert event.extensions == {"a": "x", "n": "5", "yes": "true", "no": "false", "empty": ""}
    assert event.subject is None


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_a_missing_attribute_is_named(missing: str) -> None:
    assert f"'{missing}' is missing" in reason({name: text for name, text in REQUIRED.items() if name != missing})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "'id' must be a non-empty string"),
        ({"source": 5}, "'source' must be a non-empty string, not 5"),
        ({"type": "a\x00b"}, "'type' contains control characters"),
        ({"id": "a\u0085"}, "'id' contains control characters"),
        ({"specversion": "0.3"}, "'specversion' is '0.3'"),
        ({"specversion": 1.0}, "'specversion' is 1.0"),
        ({"subject": 7}, "'subject' must be a string, not 7"),
        ({"dataschema": []}, "'dataschema' must be a string"),
        ({"Upper": "x"}, "'Upper' is not allowed"),
        ({"under_score": "x"}, "'under_score' is not allowed"),
        ({"": "x"}, "'' is not allowed"),
        ({"ext": 1.5}, "'ext' must be a string, an integer or a boolean"),
        ({"ext": {"a": 1}}, "'ext' must be a string, an integer or a boolean"),
        ({"data_base64": "###"}, "'data_base64' is not valid base64"),
        ({"data_base64": "é"}, "'data_base64' is not valid base64"),
        ({"data_base64": 5}, "'data_base64' must be a string"),
        ({"data_base64": "YQ==", "data": "a"}, "both 'data' and 'data_base64'"),
        ({"data_base64": "YQ==", "data": None}, "both 'data' and 'data_base64'"),
    ],
)
def test_what_breaks_the_rules_is_malformed(change: dict[str, Any], said: str) -> None:
    assert said in reason(REQUIRED | change)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b"5", b"null", b"\xff", b'{"data":', b'{,"data":1}', b'{"a":1},"data":2}', b'"data":']
)
def test_what_is_no_json_object_is_malformed(value: bytes) -> None:
    assert reason(value)


@pytest.mark.parametrize("depth", [300, 1_100, 200_000])
def test_deep_data_is_malformed_or_understood_but_no_error(depth: int) -> None:
    bomb = b"[" * depth + b"]" * depth
    head = orjson.dumps(REQUIRED)[:-1]
    for value in (head + b',"data":' + bomb + b"}", b'{"data":' + bomb + b"," + head[1:] + b"}"):
        found = decode_structured(value)
        assert isinstance(found, Malformed) or (depth < 1_000 and found.data == bomb)


def test_long_names_and_values_are_cut_in_the_reason() -> None:
    assert len(reason(REQUIRED | {"id": {"x": "y" * 1_000}})) < 200


@pytest.mark.parametrize(
    "layout",
    [
        '{{"data":{data},{rest}}}',
        '{{{rest},"data":{data}}}',
        '{{ {rest} , "data" : {data} }}\n',
        '{{ {rest}, "data": {data}, "last": "x" }}',
        '{{"x": "1", "d\\u0061ta":{data}, {rest}}}',
    ],
)
def test_data_is_kept_byte_for_byte_in_every_layout(layout: str) -> None:
    data = '{"big": 123456789012345678901234567890, "pi": 3.14159265358979323846264338327950288, "é": "\\u00e9"}'
    document = layout.format(data=data, rest=json.dumps(REQUIRED)[1:-1])
    assert (decoded(document.encode()).data or b"").strip() == data.encode()


def test_a_number_beyond_every_float_is_malformed_in_every_layout() -> None:
    digits = b"7" * 5_000
    head = orjson.dumps(REQUIRED)
    assert "not valid JSON" in reason(b'{"data":' + digits + b"," + head[1:])
    assert "not valid JSON" in reason(head[:-1] + b',"data":' + digits + b"}")


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"x,\\"data\\":1}","data":[2]}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,"data":2}}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"data","data":{"a":1,"data":2}}',
    ],
)
def test_only_the_top_level_member_is_the_data(value: bytes) -> None:
    assert orjson.loads(decoded(value).data or b"") == orjson.loads(value)["data"]


def test_a_key_that_ends_like_data_is_not_data() -> None:
    assert "not allowed" in reason(b'{"specversion":"1.0","id":"1","source":"/s","type":"t","x,\\"data":1,"data":2}')


def test_of_two_members_of_one_name_the_last_one_counts_as_in_every_json_reader() -> None:
    value = orjson.dumps(REQUIRED)[:-1] + b',"data":1,"x":"y","data":2}'
    assert decoded(value).data == b"2"


@pytest.mark.parametrize(
    ("content_type", "data", "member"),
    [
        (None, b'{"a":1}', b'"data":{"a":1}'),
        ("application/json", b" [1, 2]\n", b'"data": [1, 2]\n}'),
        ("application/vnd.x+json; charset=utf-8", b'"text"', b'"data":"text"'),
        ("text/plain", b"hello", b'"data":"hello"'),
        ("text/plain; charset=iso-8859-1", b"hello", b'"data_base64":"aGVsbG8="'),
        ("text/plain", b"\xff", b'"data_base64":"/w=="'),
        ("image/svg+xml", b"<x/>", b'"data":"<x/>"'),
        ("application/octet-stream", b"hello", b'"data_base64":"aGVsbG8="'),
        ("application/json", b"", b'"data_base64":""'),
        ("application/json", b"null", b'"data":null'),
    ],
)
def test_the_kind_of_data_decides_its_member(content_type: str | None, data: bytes, member: bytes) -> None:
    event = Event(id="1", source="/s", type="t", datacontenttype=content_type, data=data)
    assert member in encode_structured(event)
    assert decoded(encode_structured(event)) == event


@pytest.mark.parametrize("data", [b'1,"id":"forged"', b'1}{"id":"forged"', b'"a"}', b"{", b'{"a":1', b"nan"])
def test_data_that_is_not_the_json_it_claims_to_be_cannot_change_the_event(data: bytes) -> None:
    event = Event(id="real", source="/s", type="t", datacontenttype="application/json", data=data)
    assert decoded(encode_structured(event)) == event


def test_no_data_is_not_the_same_as_empty_data() -> None:
    empty = Event(id="1", source="/s", type="t", data=b"")
    assert decoded(encode_structured(EVENT)).data is None
    assert decoded(encode_structured(empty)).data == b""


@pytest.mark.parametrize(
    "event",
    [
        Event(id="", source="/s", type="t"),
        Event(id="a\x00", source="/s", type="t"),
        Event(id="1", source="/s", type="t", extensions={"Bad": "x"}),
        Event(id="1", source="/s", type="t", extensions={"data": "x"}),
        Event(id="1", source="/s", type="t", extensions={"type": "x"}),
        Event(id="1", source="/s", type="t", extensions={"n": 5}),  # type: ignore[dict-item]  # what adapters must not do
        Event(id="1", source="/s", type="t", subject="\ud800"),
        Event(id="\ud800", source="/s", type="t"),
    ],
)
def test_what_nobody_could_decode_is_never_encoded(event: Event) -> None:
    with pytest.raises(Unencodable):
        encode_structured(event)


TEXT = st.text(max_size=20)
IDENTITY = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
EVENTS = st.builds(
    Event,
    id=IDENTITY,
    source=IDENTITY,
    type=IDENTITY,
    subject=st.none() | st.text(min_size=1, max_size=20),
    time=st.none() | st.just("2026-11-24T10:00:00Z"),
    datacontenttype=st.none()
    | st.sampled_from(["application/json", "text/plain", "text/html; charset=latin-1", "a/b+json", "image/png"]),
    dataschema=st.none() | IDENTITY,
    extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{1,8}", fullmatch=True), TEXT, max_size=3),
    data=st.none()
    | st.binary(max_size=40)
    | TEXT.map(str.encode)
    | st.recursive(st.none() | st.booleans() | st.integers() | TEXT, st.lists, max_leaves=8).map(
        lambda value: json.dumps(value).encode()
    ),
)


@given(EVENTS)
@example(Event(id='","data":', source='{"data":1}', type="t", data=b'{"data":{"data":1}}'))
def test_every_event_survives_encoding(event: Event) -> None:
    value = encode_structured(event)
    assert decode_structured(value) == event
    orjson.loads(value)  # and it is one JSON document


@given(st.sampled_from([b"", orjson.dumps(REQUIRED)[:-1] + b',"data":']), st.binary(max_size=60))
def test_no_bytes_raise_and_what_is_accepted_is_json(head: bytes, tail: bytes) -> None:
    value = head + tail
    event = decode_structured(value)
    if isinstance(event, Event):
        orjson.loads(value)


@given(EVENTS, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(event: Event, random: Any) -> None:
    members = list(json.loads(encode_structured(event)).items())
    random.shuffle(members)
    again = decode_structured(json.dumps(dict(members)).encode())
    assert isinstance(again, Event)
    assert (again.id, again.subject, again.extensions) == (event.id, event.subject, event.extensions)
    assert (again.data is None) == (event.data is None)
