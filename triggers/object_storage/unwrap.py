"""Pure: finds the records in a message, whatever is wrapped around them, and reads each by its provider's rules."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.core.topics import MAX_MESSAGE_BYTES
from triggers.object_storage import azure, cos, gcs, s3_eventbridge, s3_records
from triggers.object_storage.change import ObjectChange
from triggers.object_storage.fields import NoNotification, at, text
from triggers.object_storage.rules import StorageRules
from triggers.object_storage.scrub import may_have_secrets, scrubbed, scrubbed_bytes

#: A notification has 8 levels. orjson reads 1,024 and writes 254: in between we could read what we cannot write.
MAX_DEPTH = 64
#: EventBridge or S3 in SNS in SQS is two.
MAX_WRAPPERS = 4
TEST_EVENT = "s3:TestEvent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Poison:
    """What cannot be read, as it may be stored, and why."""

    raw: bytes
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unwanted:
    """A notification of something that is never an event: Data Lake's empty files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Test:
    """Sent when a notification is configured."""


Found = ObjectChange | Poison | Unwanted | Test


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrier:
    """The message around the body."""

    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def read(body: bytes, rules: StorageRules, carrier: Carrier) -> Iterator[Found]:
    """Never raises."""
    try:
        document = _loaded(body)
    except NoNotification as error:
        yield Poison(raw=scrubbed_bytes(body), reason=str(error))
        return
    yield from _Reading(rules=rules, carrier=carrier).document(document, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    rules: StorageRules
    carrier: Carrier

    def document(self, document: Any, wrappers: int) -> Iterator[Found]:
        try:
            if wrappers > MAX_WRAPPERS:
                raise NoNotification(f"it is wrapped more than {MAX_WRAPPERS} times")
            yield from self._unwrapped(document, wrappers)
        except NoNotification as error:
            yield _poison(document, error)

    def _unwrapped(self, document: Any, wrappers: int) -> Iterator[Found]:
        if isinstance(document, list):
            for each in document:
                yield from self.document(each, wrappers + 1)
            return
        if not isinstance(document, dict):
            raise NoNotification("it is no JSON object")
        inner = _message_of_sns(document)
        if inner is not None:
            yield from self.document(_loaded(inner.encode()), wrappers + 1)
        elif isinstance(document.get("Records"), list):
            for index, record in enumerate(document["Records"]):
                yield self._record(record, index)
        else:
            yield from self._single(document, wrappers)

    def _single(self, document: Mapping[str, Any], wrappers: int) -> Iterator[Found]:
        if document.get("Event") == TEST_EVENT:
            yield Test()
        elif "detail-type" in document:
            yield s3_eventbridge.change_of(document, self.rules)
        elif gcs.is_pushed(document):
            encoded = text(document, "message", "data")
            yield gcs.change_of_push(document, _from_base64(encoded, "message.data") if encoded else {})
        elif "bucketid" in self.carrier.headers and "eventtype" in self.carrier.headers:
            yield gcs.change_of_headers(self.carrier.headers, document)
        elif (text(document, "eventType") or "").startswith(azure.PREFIX):
            yield _of_azure(document)
        elif "specversion" in document:
            yield from self._cloud_event(document, wrappers)
        else:
            raise NoNotification("its shape is none that is known")

    def _cloud_event(self, envelope: Mapping[str, Any], wrappers: int) -> Iterator[Found]:
        kind = text(envelope, "type") or ""
        if kind.startswith(azure.PREFIX):
            yield _of_azure(envelope)
        elif kind.startswith(gcs.CLOUD_EVENT_TYPE):
            yield gcs.change_of_cloud_event(envelope)
        elif envelope.get("source") == cos.SOURCE:
            yield cos.change_of_cloud_event(envelope, self.rules)
        elif "data" in envelope or "data_base64" in envelope:
            yield from self.document(_data_of(envelope), wrappers + 1)
        else:
            raise NoNotification(f"its CloudEvent is of type {kind[:80]!r} and has no data")

    def _record(self, record: Any, index: int) -> Found:
        try:
            if isinstance(record, dict) and "cos" in record:
                return cos.change_of(record, self.rules)
            if isinstance(record, dict) and "s3" in record:
                return s3_records.change_of(record, self.rules, f"{self.carrier.name}#{index}")
            raise NoNotification("a record of it is neither of S3 nor of COS")
        except NoNotification as error:
            return _poison({"Records": [record]}, error)


def _loaded(body: bytes) -> Any:
    """Raises NoNotification."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise NoNotification(f"it has {len(body):,} bytes; no store sends more than {MAX_MESSAGE_BYTES:,}")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NoNotification(f"it is no JSON: {str(error)[:200]}") from error
    # A message of a few hundred bytes shows without a walk through it that it is flat and has no secrets.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_deeper(document, MAX_DEPTH):
        raise NoNotification(f"its JSON is nested deeper than {MAX_DEPTH} levels")
    return scrubbed(document) if may_have_secrets(body) else document


def _is_deeper(document: Any, limit: int) -> bool:
    """Level by level, so that no depth of theirs becomes a depth of our stack."""
    level = [document]
    for _ in range(limit):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for values in inner for each in values]
        if not level:
            return False
    return True


def _message_of_sns(document: Mapping[str, Any]) -> str | None:
    """Raises NoNotification for a message of SNS about itself."""
    if text(document, "TopicArn") is None or text(document, "Message") is None:
        return None
    kind = text(document, "Type") or "Notification"
    if kind != "Notification":
        raise NoNotification(
            f"it is a {kind[:60]} of SNS, not a notification",
            remedy="Confirm the subscription by hand: open its SubscribeURL.",
        )
    return text(document, "Message")


def _data_of(envelope: Mapping[str, Any]) -> Any:
    """Raises NoNotification."""
    encoded = text(envelope, "data_base64")
    if encoded is not None:
        return _from_base64(encoded, "data_base64")
    data = at(envelope, "data")
    return _loaded(data.encode()) if isinstance(data, str) else data


def _from_base64(encoded: str, what: str) -> Any:
    """Raises NoNotification."""
    try:
        return _loaded(base64.b64decode(encoded, validate=True))
    except binascii.Error as error:
        raise NoNotification(f"its {what} is no base64") from error


def _of_azure(event: Mapping[str, Any]) -> Found:
    return Unwanted() if azure.is_unfinished(event) else azure.change_of(event)


def _poison(document: Any, error: NoNotification) -> Poison:
    # Once more, as text: what is wrapped in it as a string has not been read.
    return Poison(raw=scrubbed_bytes(orjson.dumps(document)), reason=f"{error}. {error.remedy}")
