"""The webhook channel of `storage` triggers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from processor.core.clock import Clock
from processor.core.topics import MAX_MESSAGE_BYTES
from processor.dispatcher.accept import FunctionDisabled, Receipt, UnknownFunction
from processor.http.body import check_encoding
from processor.http.message import Request, Response
from processor.http.problems import Problem, Refused, unavailable
from triggers.abstract import Binding, Trigger
from triggers.http.deliveries import Deliveries, NotYet, TooManyUnderWay
from triggers.http.listener import Listener
from triggers.http.routed import RoutedTrigger
from triggers.intake import Intake
from triggers.object_storage import webhook
from triggers.object_storage.desk import Desk, Tally
from triggers.object_storage.gcs import ATTRIBUTES
from triggers.object_storage.rules import StorageRules

#: OPTIONS for Azure, which asks before it sends.
_METHODS = frozenset({"POST", "OPTIONS"})
#: Callers give up after some ten seconds (MinIO 3 s by default, Event Grid 30 s).
WAIT_SEC = 8.0
_TITLES = {400: "Bad request", 401: "Not allowed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageWebhooks:
    """Makes the adapters of all `storage` triggers whose source is a webhook."""

    listener: Listener
    intake: Intake
    clock: Clock
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    wait_sec: float = WAIT_SEC

    def make(self, binding: Binding) -> Trigger:
        """Raises SecretMissing."""
        return StorageWebhook(binding, self)


@dataclass(frozen=True, slots=True)
class _Delivered:
    receipts: list[Receipt]
    tally: Tally


class StorageWebhook(RoutedTrigger):
    """Answers 202 once everything of a notification is durable: its events on the intake, its poison on `rejected`.

    Poison is taken too: a sender like MinIO sends one message again until it is taken, and nothing else meanwhile.
    """

    def __init__(self, binding: Binding, shared: StorageWebhooks) -> None:
        source = binding.settings["source"]["webhook"]
        path = str(source["path"])
        super().__init__(binding, listener=shared.listener, clock=shared.clock, path=path, methods=_METHODS)
        self._auth = webhook.auth_of(source, shared.environment)
        self._intake = shared.intake
        self._rules = StorageRules.of(binding)
        self._origin = f"POST {path}"
        self._deliveries = Deliveries[_Delivered](wait_sec=shared.wait_sec)

    async def let_go(self) -> None:
        await self._deliveries.stop()

    async def answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        check_encoding(request)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
        body = await request.body(MAX_MESSAGE_BYTES)
        try:
            asked = webhook.handshake(request.method, headers, body)
            if asked is not None:
                return _told(asked)
            webhook.check(self._auth, headers, body, now_sec=self._clock.unix_ms() / 1000)
        except webhook.NotificationRefused as error:
            raise Refused(_problem(error)) from error
        return _accepted(await self._deliver(body, headers))

    async def _deliver(self, body: bytes, headers: Mapping[str, str]) -> _Delivered:
        """Never raises what would become a 4xx: the event grids of this world take some of those for the end."""
        try:
            return await self._deliveries.deliver(_message(body, headers), lambda: self._make_durable(body, headers))
        except (NotYet, TooManyUnderWay, FunctionDisabled, UnknownFunction) as error:
            raise Refused(unavailable("not-yet", "Not durable yet", str(error), remedy=error.remedy)) from error

    async def _make_durable(self, body: bytes, headers: Mapping[str, str]) -> _Delivered:
        desk = Desk(self._intake, self._binding, self._rules)
        note = self._condition.note_trouble
        receipts = await desk.deliver(body, origin=self._origin, headers=headers, on_trouble=note)
        self._condition.note_rejected(desk.tally.rejected)
        self._condition.note_accepted(len(receipts))
        return _Delivered(receipts, desk.tally)


def _message(body: bytes, headers: Mapping[str, str]) -> bytes:
    """What tells it from others: Pub/Sub writes what has happened to the object into headers, beside the same body."""
    attributes = [headers.get(name.lower(), "") for name in ATTRIBUTES]
    return b"".join([*(f"{each}\n".encode() for each in attributes), body]) if any(attributes) else body


def _accepted(delivered: _Delivered) -> Response:
    runs = [each.request_id for each in delivered.receipts]
    document = {
        "request_ids": runs,
        "rejected": delivered.tally.rejected,
        "ignored": delivered.tally.ignored + delivered.tally.tests,
    }
    return Response(status=202, body=orjson.dumps(document), run=runs[0] if len(runs) == 1 else None)


def _told(answer: webhook.Answer) -> Response:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    content_type = answer.headers.get("content-type", "application/json").encode("latin-1")
    others = [(name, value) for name, value in headers if name != b"content-type"]
    return Response(status=answer.status, body=answer.body, content_type=content_type, headers=others)


def _problem(error: webhook.NotificationRefused) -> Problem:
    return Problem(
        status=error.status,
        name="unauthorized" if error.status == 401 else "bad-request",
        title=_TITLES.get(error.status, "Refused"),
        detail=str(error),
        remedy=error.remedy,
    )
