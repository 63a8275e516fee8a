"""The calls of SQS that the adapter makes. Every one blocks, is used from any thread, and raises StoreError."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from triggers.object_storage.aws import Access, client, naming_errors, region_of_queue

log = logging.getLogger(__name__)

#: Of one receive and one batch: SQS's own limit.
MAX_MESSAGES = 10
#: SQS allows 20; a stop waits for the long poll to end, and the host gives an adapter 10 s.
WAIT_SEC = 5
#: Each does one thing after the other: receive, make durable, delete. Two of them empty 870 messages a second, four
#: 1,240, of a server that gives 2,800 away.
POLLERS = 4
#: When the queue's own cannot be read; it is what a new queue gets.
DEFAULT_VISIBILITY_SEC = 30.0


class Message(NamedTuple):
    id: str
    #: Of this one receive; a later receive of the same message makes it worthless.
    receipt_handle: str
    body: bytes
    #: How often it was received, this time included; 0 when the service does not tell.
    receive_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSettings:
    url: str
    access: Access
    pollers: int = POLLERS
    #: None: as the queue has it.
    visibility_sec: float | None = None
    #: Whole seconds.
    wait_sec: int = WAIT_SEC

    @classmethod
    def of(cls, source: Mapping[str, Any], wait_sec: int = WAIT_SEC) -> QueueSettings:
        url = str(source["queue_url"])
        settings = {**source, "region": source.get("region") or region_of_queue(url)}
        return cls(
            url=url,
            access=Access.of(settings),
            pollers=int(source.get("pollers") or POLLERS),
            visibility_sec=source.get("visibility"),
            wait_sec=wait_sec,
        )

    @property
    def name(self) -> str:
        return self.url.rstrip("/").rpartition("/")[2]


class Attributes(NamedTuple):
    #: How long a message that was taken stays hidden.
    visibility_sec: float
    waiting: int


class Queue:
    def __init__(self, settings: QueueSettings, environment: Mapping[str, str]) -> None:
        """Makes a client of a new session, which sees new credentials. Blocks. Raises StoreError."""
        self._url = settings.url
        self._what = f"queue {settings.name}"
        self._visibility_sec = settings.visibility_sec
        self._wait_sec = settings.wait_sec
        # A poll holds a connection for its whole wait; with fewer connections, pollers would starve deletes.
        pool = 2 * settings.pollers + 2
        self._sqs = client("sqs", settings.access, environment, wait_sec=settings.wait_sec, pool=pool)

    def close(self) -> None:
        self._sqs.close()

    def receive(self, count: int) -> list[Message]:
        """Up to `count` messages, at once when there are any, else [] after wait_sec."""
        hidden = {} if self._visibility_sec is None else {"VisibilityTimeout": int(self._visibility_sec)}
        with naming_errors(self._what):
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=self._wait_sec,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **hidden,
            )
        return [_message(each) for each in answer.get("Messages", ())]

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Returns those that were not deleted: they come again, with the same identities."""
        with naming_errors(self._what):
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=_entries(messages))
        return _failed(messages, answer)

    def release(self, messages: Sequence[Message]) -> list[Message]:
        """Makes them visible to others at once. Returns those for which that did not work."""
        entries = [{**each, "VisibilityTimeout": 0} for each in _entries(messages)]
        with naming_errors(self._what):
            answer = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        return _failed(messages, answer)

    def attributes(self) -> Attributes:
        names = ["VisibilityTimeout", "ApproximateNumberOfMessages"]
        with naming_errors(self._what):
            found = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names).get("Attributes", {})
        hidden_sec = self._visibility_sec or float(found.get("VisibilityTimeout", DEFAULT_VISIBILITY_SEC))
        return Attributes(hidden_sec, int(found.get("ApproximateNumberOfMessages", 0)))


def _entries(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Named by their place: the same message twice in a batch under its own id would make SQS refuse all of it."""
    return [{"Id": str(index), "ReceiptHandle": each.receipt_handle} for index, each in enumerate(messages)]


def _failed(messages: Sequence[Message], answer: Mapping[str, Any]) -> list[Message]:
    return [messages[int(each["Id"])] for each in answer.get("Failed", ())]


def _message(found: Mapping[str, Any]) -> Message:
    count = found.get("Attributes", {}).get("ApproximateReceiveCount", "0")
    return Message(found["MessageId"], found["ReceiptHandle"], found.get("Body", "").encode(), int(count))
