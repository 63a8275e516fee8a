from __future__ import annotations

from typing import Any

import pytest

from triggers.object_storage import aws
from triggers.object_storage.aws import Access, StorageExtraMissing, StoreError, region_of_queue
from triggers.sqs import queue as queue_module
from triggers.sqs.pace import Pace
from triggers.sqs.queue import Message, Queue, QueueSettings

URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/uploads"


class FakeSqs:
    """Notes what it is asked, and fails for the entries it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.failing: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> dict[str, Any]:
            self.asked.append((name, arguments))
            failed = [{"Id": each, "Code": "ReceiptHandleIsInvalid", "SenderFault": True} for each in self.failing]
            return {"Failed": failed} if "Entries" in arguments else {}

        return call


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> FakeSqs:
    fake = FakeSqs()
    monkeypatch.setattr(queue_module, "client", lambda *arguments, **more: fake)
    return fake


def settings(**source: Any) -> QueueSettings:
    return QueueSettings.of({"queue_url": URL, **source})


def messages(count: int) -> list[Message]:
    return [Message("same id", f"handle {number}", b"", 1) for number in range(count)]


def test_a_batch_names_its_entries_by_place_because_a_message_may_be_in_it_twice(sqs: FakeSqs) -> None:
    Queue(settings(), {}).delete(messages(3))
    ((name, arguments),) = sqs.asked
    assert name == "delete_message_batch"
    assert [each["Id"] for each in arguments["Entries"]] == ["0", "1", "2"]


def test_what_a_batch_did_not_delete_is_told(sqs: FakeSqs) -> None:
    sqs.failing = ["1"]
    assert [each.receipt_handle for each in Queue(settings(), {}).delete(messages(3))] == ["handle 1"]


def test_the_visibility_is_touched_only_when_it_is_set(sqs: FakeSqs) -> None:
    Queue(settings(), {}).receive(10)
    Queue(settings(visibility=90.0), {}).receive(10)
    assert "VisibilityTimeout" not in sqs.asked[0][1]
    assert sqs.asked[1][1]["VisibilityTimeout"] == 90


def test_what_is_released_is_visible_at_once(sqs: FakeSqs) -> None:
    Queue(settings(), {}).release(messages(1))
    ((name, arguments),) = sqs.asked
    assert name == "change_message_visibility_batch"
    assert arguments["Entries"] == [{"Id": "0", "ReceiptHandle": "handle 0", "VisibilityTimeout": 0}]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        ("https://us-gov-east-1.queue.amazonaws.com/1/q", "us-gov-east-1"),
        ("http://127.0.0.1:4566/000000000000/q", None),
        ("https://queue.example.com/1/q", None),
    ],
)
def test_the_region_is_in_the_address_of_a_queue(url: str, region: str | None) -> None:
    assert region_of_queue(url) == region
    assert QueueSettings.of({"queue_url": url}).access.region == region
    assert QueueSettings.of({"queue_url": url, "region": "xx"}).access.region == "xx"


def test_without_boto3_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(aws, "import_module", missing)
    with pytest.raises(StorageExtraMissing) as caught:
        aws.client("sqs", Access(), {})
    assert "headrace[storage]" in caught.value.remedy


@pytest.mark.parametrize("url", ["127.0.0.1:9", "http://", "ftp://x", "http://[::1"])
def test_an_address_that_is_none_is_a_state_and_no_crash(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Queue(settings(endpoint_url=url, access_key_env="A", secret_key_env="B"), {"A": "a", "B": "b"}).receive(1)
    assert caught.value.remedy


def test_the_pace_begins_with_one_and_grows_while_messages_are_done_soon() -> None:
    pace, counts = Pace(), []
    for _ in range(5):
        counts.append(pace.count)
        pace.note(0.01, 30.0)
    assert counts == [1, 2, 4, 8, 10]


def test_the_pace_falls_when_a_batch_takes_a_good_part_of_the_time_it_is_hidden() -> None:
    pace = Pace()
    for _ in range(4):
        pace.note(0.01, 30.0)
    for expected in (5, 2, 1, 1):
        pace.note(8.0, 30.0)
        assert pace.count == expected
    pace.note(4.0, 30.0)
    assert pace.count == 1, "neither soon nor late"
