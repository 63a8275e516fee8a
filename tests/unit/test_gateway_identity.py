from __future__ import annotations

import uuid

import pytest

from processor.core.clock import ManualClock
from processor.http.idempotency import GENERATION_SEC, IdempotencyKeys
from processor.http.identity import parse_idempotency_key, uuid7
from processor.http.problems import Refused

JSON = "application/json"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"order-4711"', "order-4711"),
        ("order-4711", "order-4711"),
        ("  a b\t", "a b"),
        (r'"say \"hi\" \\ now"', r'say "hi" \ now'),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_key_may_be_quoted_or_bare(header: str, key: str) -> None:
    assert parse_idempotency_key(header) == key


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        ('""', "the Idempotency-Key is empty"),
        ('"open', "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        ('"a";p=1', "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        (r'"a\n"', "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        ("schlüssel", "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        ("a\x00b", "the Idempotency-Key is neither a quoted string nor printable ASCII"),
        ("x" * 256, "the Idempotency-Key has 256 characters; the limit is 255"),
    ],
)
def test_a_bad_key_is_told_what_is_wrong_with_it(header: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_idempotency_key(header)
    assert str(caught.value) == message
    assert caught.value.problem.status == 400


def test_fresh_ids_are_version_7_and_in_order_of_time() -> None:
    ids = [uuid7() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)


def test_a_key_with_another_body_or_content_type_is_refused() -> None:
    keys = IdempotencyKeys(ManualClock())
    keys.claim("f", "k", JSON, b"1")
    for content_type, body in ((JSON, b"2"), ("text/plain", b"1")):
        with pytest.raises(Refused) as caught:
            keys.claim("f", "k", content_type, body)
        assert str(caught.value) == "the Idempotency-Key 'k' was used with another body before"
        assert caught.value.problem.status == 422


def test_a_key_belongs_to_one_function() -> None:
    keys = IdempotencyKeys(ManualClock())
    keys.claim("f", "k", JSON, b"1")
    assert keys.claim("g", "k", JSON, b"2").first


def test_only_an_accepted_event_is_answered_from_memory() -> None:
    keys = IdempotencyKeys(ManualClock())
    first = keys.claim("f", "k", JSON, b"1")
    repeat = keys.claim("f", "k", JSON, b"1")
    assert (first.first, repeat.first, repeat.accepted) == (True, False, False)
    keys.accepted(first)
    assert keys.claim("f", "k", JSON, b"1").accepted


def test_a_refused_event_leaves_its_key_free() -> None:
    keys = IdempotencyKeys(ManualClock())
    keys.refused(keys.claim("f", "k", JSON, b"1"))
    assert keys.claim("f", "k", JSON, b"2").first


def test_a_refused_repeat_does_not_free_the_key_of_the_first() -> None:
    keys = IdempotencyKeys(ManualClock())
    keys.claim("f", "k", JSON, b"1")
    keys.refused(keys.claim("f", "k", JSON, b"1"))
    with pytest.raises(Refused):
        keys.claim("f", "k", JSON, b"2")


def test_keys_are_known_for_ten_minutes_at_least_and_forgotten_after_twenty() -> None:
    clock = ManualClock()
    keys = IdempotencyKeys(clock)
    clock.advance(GENERATION_SEC - 1)
    keys.accepted(keys.claim("f", "k", JSON, b"1"))
    clock.advance(GENERATION_SEC - 1)
    assert keys.claim("f", "k", JSON, b"1").accepted
    clock.advance(GENERATION_SEC)
    keys.claim("f", "other", JSON, b"")
    clock.advance(GENERATION_SEC)
    assert keys.claim("f", "k", JSON, b"2").first


def test_memory_is_bounded_and_the_oldest_keys_go_first() -> None:
    keys = IdempotencyKeys(ManualClock(), max_keys=10)
    for number in range(12):
        keys.claim("f", str(number), JSON, b"1")
    assert keys.claim("f", "11", JSON, b"1").first is False
    assert keys.claim("f", "0", JSON, b"other").first is True
    assert len(keys._young) + len(keys._old) <= 10
