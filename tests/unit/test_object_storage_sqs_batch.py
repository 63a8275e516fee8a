from __future__ import annotations

from processor.core.event import Event
from triggers.object_storage.notification import Parsed
from triggers.object_storage.unwrap import Poison
from triggers.sqs.batch import Batch, Received
from triggers.sqs.queue import Message


def received(name: str, *keys: str, poison: int = 0) -> Received:
    events = tuple(Event(id=f"{name}/{key}", source="s", type="t", subject=key) for key in keys)
    bad = tuple(Poison(raw=b"x", reason="r") for _ in range(poison))
    message = Message(name, f"handle of {name}", b"", 1)
    return Received(message=message, origin=name, parsed=Parsed(events=events, poison=bad))


def done(batch: Batch) -> list[str]:
    return [each.id for each in batch.done]


def test_a_message_without_anything_to_keep_is_done_at_once() -> None:
    batch = Batch([received("test event"), received("full", "a")])
    assert done(batch) == ["test event"]
    assert [each.id for each in batch.rest()] == ["full"]


def test_a_message_is_done_with_the_last_of_its_events() -> None:
    batch = Batch([received("one", "a", "b"), received("two", "c")])
    assert [(event.subject, origin) for event, origin in batch.waiting()] == [("a", "one"), ("b", "one"), ("c", "two")]
    batch.note_durable(1)
    assert done(batch) == []
    batch.note_durable(1)
    assert done(batch) == ["one"]
    assert [each.id for each in batch.rest()] == ["two"]
    batch.note_durable(1)
    assert done(batch) == ["one", "two"]
    assert batch.waiting() == []
    assert batch.rest() == []


def test_a_message_with_poison_is_done_only_when_that_is_rejected_too() -> None:
    half = received("half", "a", poison=2)
    batch = Batch([half])
    batch.note_durable(1)
    assert done(batch) == []
    batch.note_rejected(half)
    assert done(batch) == ["half"]


def test_a_message_that_is_in_a_batch_twice_is_two() -> None:
    first = received("same", "a")
    second = Received(message=first.message._replace(receipt_handle="other"), origin="same", parsed=first.parsed)
    batch = Batch([first, second])
    batch.note_durable(1)
    assert [each.receipt_handle for each in batch.done] == ["handle of same"]
    assert [each.receipt_handle for each in batch.rest()] == ["other"]
