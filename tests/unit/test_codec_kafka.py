from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.codec import Malformed, decode_kafka, encode_structured
from processor.core.event import Event

#: Section 3.2.5 of the Kafka binding 1.0.2.
BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"com.example.someevent"),
    ("ce_source", b"/mycontext/subcontext"),
    ("ce_id", b"1234-1234-1234"),
    ("ce_time", b"2018-04-05T03:56:24Z"),
    ("content-type", b"application/avro"),
)
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
EVENT = Event(id="1", source="/s", type="t", datacontenttype="application/json", data=b'{"a":1}')


def decoded(headers: object, value: bytes | None) -> Event:
    event = decode_kafka(headers, value)  # type: ignore[arg-type]  # lists and tuples of pairs alike
    assert isinstance(event, Event), event
    return event


def reason(headers: object, value: bytes | None) -> str:
    found = decode_kafka(headers, value)  # type: ignore[arg-type]  # as above
    assert isinstance(found, Malformed), found
    return found.reason


def test_the_binary_example_of_the_specification_is_understood() -> None:
    assert decoded(BINARY, b"\x00avro") == Event(
        id="1234-1234-1234",
        source="/mycontext/subcontext",
        type="com.example.someevent",
        time="2018-04-05T03:56:24Z",
        datacontenttype="application/avro",
        data=b"\x00avro",
    )


def test_a_structured_record_is_understood_in_any_case_of_its_content_type() -> None:
    for name, kind in (STRUCTURED, ("Content-Type", b"APPLICATION/CloudEvents+JSON")):
        assert decoded([(name, kind)], encode_structured(EVENT)) == EVENT


def test_the_content_type_alone_decides_the_mode() -> None:
    repeated = [*BINARY[:5], STRUCTURED, ("ce_Bad", b"\xff")]
    assert decoded(repeated, encode_structured(EVENT)) == EVENT


def test_a_null_value_means_no_data_and_an_empty_one_empty_data() -> None:
    assert decoded(BINARY, None).data is None
    assert decoded(BINARY, b"").data == b""


def test_foreign_headers_may_hold_anything() -> None:
    assert decoded([*BINARY, ("trace", b"\xff\xfe"), ("empty", None), ("ce_unset", None)], b"").extensions == {}


def test_headers_are_text_without_percent_decoding() -> None:
    event = decoded([*BINARY, ("ce_subject", "50%25 Zoë".encode()), ("ce_function", b"thumbnail")], None)
    assert event.subject == "50%25 Zoë"
    assert event.function == "thumbnail"


@pytest.mark.parametrize(
    ("headers", "value", "said"),
    [
        ((), b"{}", "no CloudEvent"),
        ((("content-type", b"application/json"),), b"{}", "no CloudEvent"),
        (BINARY[1:], b"", "'specversion' is missing"),
        ((*BINARY, ("ce_id", b"other")), b"", "'ce_id' comes twice"),
        ((*BINARY, ("ce_subject", b"\xff")), b"", "'ce_subject' is not UTF-8"),
        ((*BINARY[:5], ("content-type", b"\xff")), b"", "'content-type' is not UTF-8"),
        ((*BINARY, ("ce_datacontenttype", b"text/plain")), b"", "send it as 'content-type'"),
        ((*BINARY, ("ce_Upper", b"x")), b"", "'Upper' is not allowed"),
        ((STRUCTURED,), None, "no value"),
        ((STRUCTURED,), b"{", "not valid JSON"),
        ((("content-type", b"application/cloudevents+avro"),), b"", "application/cloudevents+json"),
        ((("content-type", b"application/cloudevents-batch+json"),), b"[]", "batch"),
    ],
)
def test_what_is_no_event_is_malformed_with_a_remedy(headers: object, value: bytes | None, said: str) -> None:
    assert said in reason(headers, value)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_source", "ce_type", "ce_specversion", "content-type", "ce_", "x"])
            | st.text(max_size=8),
            st.none() | st.binary(max_size=12) | st.sampled_from([b"1.0", STRUCTURED[1]]),
        ),
        max_size=8,
    ),
    st.none() | st.binary(max_size=20),
)
def test_no_record_raises(headers: list[tuple[str, bytes | None]], value: bytes | None) -> None:
    assert isinstance(decode_kafka(headers, value), (Event, Malformed))
