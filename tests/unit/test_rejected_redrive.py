from __future__ import annotations

import pytest

from processor.core.codec import decode_kafka, decode_structured, encode_structured
from processor.core.event import Event
from processor.core.rejected import KEPT_BYTES, Rejection
from processor.core.request_id import request_id
from processor.gateway.redrive import EVENT_TYPE, ToFunction, ToIntake, plan
from processor.gateway.rejected_log import Place
from processor.http.problems import Refused
from processor.transport.abstract import Headers, Record

BINARY = (("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/shop"), ("ce_type", b"order"))


def record_of(rejection: Rejection) -> Record:
    return Record("rejected", 0, 12, 0, 1_795_478_400_000, None, rejection.value(), rejection.all_headers())


def foreign(raw: bytes = b'{"n":1}', headers: Headers = BINARY) -> Record:
    return record_of(Rejection(raw=raw, reason="no function", origin="intake/2/5", headers=headers))


def of_trigger(raw: bytes = b"\xff\x00", *, function: str = "f", origin: str = "files/0/3") -> Record:
    return record_of(Rejection(raw=raw, reason="no text", origin=origin, trigger="f-kafka-1", function=function))


def refused(record: Record, function: str | None = None) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        plan(record, function)
    assert caught.value.remedy
    return caught.value.problem.status, caught.value.problem.name


def test_what_came_from_intake_goes_there_again_with_its_bytes_headers_and_identity() -> None:
    headers = (*BINARY, ("ce_function", b"f"), ("other", b"kept"))
    planned = plan(foreign(headers=headers), None)
    assert isinstance(planned, ToIntake)
    assert (planned.value, tuple(planned.headers)) == (b'{"n":1}', headers)
    assert (planned.function, planned.source, planned.id) == ("f", "/shop", "7")


def test_a_structured_event_goes_as_it_came() -> None:
    event = Event(id="7", source="/shop", type="order", extensions={"function": "f"})
    headers = (("content-type", b"application/cloudevents+json"),)
    planned = plan(foreign(encode_structured(event), headers), None)
    assert isinstance(planned, ToIntake)
    assert (planned.value, tuple(planned.headers)) == (encode_structured(event), headers)


@pytest.mark.parametrize("more", [(), (("ce_function", b"typo"),)])
def test_a_function_can_be_named_for_an_event_that_names_none_or_a_wrong_one(more: Headers) -> None:
    planned = plan(foreign(headers=(*BINARY, *more)), "right")
    assert isinstance(planned, ToIntake)
    event = decode_kafka(planned.headers, planned.value)
    assert isinstance(event, Event)
    assert (event.function, event.id, event.source, event.data) == ("right", "7", "/shop", b'{"n":1}')
    assert request_id(planned.function, planned.source, planned.id) == request_id("right", "/shop", "7")


def test_what_would_be_rejected_again_is_refused_with_the_reason() -> None:
    assert refused(foreign(headers=())) == (422, "no-event")
    assert refused(foreign(headers=()), "f") == (422, "no-event")
    assert refused(foreign()) == (422, "no-function")
    assert refused(of_trigger(function="")) == (422, "no-function")


def test_what_was_cut_cannot_be_sent_again() -> None:
    assert refused(of_trigger(b"x" * (KEPT_BYTES + 1))) == (409, "cut")


def test_what_a_trigger_rejected_goes_to_its_function_as_raw_bytes_under_a_name_of_its_own() -> None:
    planned = plan(of_trigger(), None)
    assert isinstance(planned, ToFunction)
    event = planned.event
    assert (planned.function, event.type, event.data) == ("f", EVENT_TYPE, b"\xff\x00")
    assert (event.source, event.id) == ("headrace:rejected", "0-12@1795478400000")
    assert (event.subject, event.extensions) == ("files/0/3", {"rejectedby": "f-kafka-1"})
    assert event.datacontenttype == "application/octet-stream"
    assert decode_structured(encode_structured(event)) == event


def test_another_function_can_take_what_a_trigger_rejected() -> None:
    planned = plan(of_trigger(), "repair")
    assert isinstance(planned, ToFunction)
    assert planned.function == "repair"


def test_raw_bytes_that_are_json_arrive_as_json() -> None:
    planned = plan(of_trigger(b'{"Records":[]}'), None)
    assert isinstance(planned, ToFunction)
    assert planned.event.is_json


def test_an_origin_with_control_characters_does_not_make_an_event_that_nobody_takes() -> None:
    planned = plan(of_trigger(origin="bucket/a\x00b\nc"), None)
    assert isinstance(planned, ToFunction)
    assert planned.event.subject == "bucket/a�b�c"
    assert decode_structured(encode_structured(planned.event)) == planned.event


def test_a_foreign_topic_that_is_called_intake_too_is_still_a_triggers() -> None:
    assert isinstance(plan(of_trigger(origin="intake/0/3"), None), ToFunction)


def test_places_are_written_and_read() -> None:
    assert Place.parse(str(Place(0, 12))) == Place(0, 12)


@pytest.mark.parametrize("text", ["", "12", "0-", "-0-1", "0-1x", "0-" + "9" * 20, "٠-١"])
def test_what_is_no_place_is_told(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # as Parameters.take expects it
        Place.parse(text)


def test_foreign_headers_with_our_names_stay_theirs() -> None:
    theirs = (*BINARY, ("ce_function", b"f"), ("trigger", b"x"), ("function", b"y"), ("truncated", b"true"))
    planned = plan(foreign(headers=theirs), None)
    assert isinstance(planned, ToIntake)
    assert (planned.function, tuple(planned.headers)) == ("f", theirs)
