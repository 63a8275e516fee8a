from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.errors import Undecodable
from processor.core.ledger import Accepted, DeliveryState, Ended, Position, Started, decode, encode, fold, fold_all
from processor.core.run import Delivery, RunError, Status, StatusCode

DELIVERY = Delivery("queue.hello.1", 2, 41)
STARTED = Started(request_id="r", function="hello", delivery=DELIVERY, executor="e#1", started_at_ms=5)


def ended(code: StatusCode = StatusCode.OK, **more: object) -> Ended:
    fields: dict[str, object] = {"request_id": "r", "function": "hello", "delivery": DELIVERY, "ended_at_ms": 9}
    return Ended(status_code=code, **{**fields, **more})  # type: ignore[arg-type]  # test data by name


ACCEPTED = Accepted(
    request_id="r",
    function="hello",
    version="v",
    trigger="http",
    source="s",
    event_id="1",
    subject=None,
    accepted_at_ms=1,
    intake=Position(3, 0, 17),
)


@pytest.mark.parametrize(
    "record",
    [
        ACCEPTED,
        STARTED,
        ended(),
        ended(result=b'{"a":[1,2]}', log_lines=3, duration_ms=1.5, memory_mb=20.5, cold_start=True),
        ended(StatusCode.HANDLER_RAISED, error=RunError(type="ValueError", message="no", stack="...")),
        ended(StatusCode.FUNCTION_NOT_FOUND, delivery=None),
    ],
)
def test_records_survive_encoding(record: Accepted | Started | Ended) -> None:
    assert decode(encode(record)) == record


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"nonsense", b'{"type":"later"}', b'{"type":"started"}'])
def test_what_is_no_record_is_said_to_be_undecodable(value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        decode(value)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(value)


def test_a_delivery_is_queued_then_running_then_ended() -> None:
    state = DeliveryState()
    assert state.status is Status.QUEUED
    state = fold(state, STARTED)
    assert state.status is Status.RUNNING
    assert fold(state, ended()).status is Status.FINISHED


def test_the_first_verdict_in_log_order_stands_and_later_ones_are_void() -> None:
    lost = ended(StatusCode.INSTANCE_LOST)
    state = fold_all([STARTED, lost, ended()])
    assert state.verdict == lost
    assert state.void_verdicts == 1


def test_a_repeated_append_of_the_verdict_counts_as_nothing() -> None:
    assert fold_all([STARTED, ended(), STARTED, ended()]) == fold_all([STARTED, ended()])


def test_codes_say_how_a_run_ended() -> None:
    assert StatusCode.OK.status is Status.FINISHED
    assert StatusCode.CANCELLED.status is Status.ABORTED
    assert StatusCode.EXPIRED.status is Status.ABORTED
    assert {code.status for code in StatusCode} == {Status.FINISHED, Status.FAILED, Status.ABORTED}
