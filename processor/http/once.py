"""Accepting an HTTP event, once per Idempotency-Key."""

from __future__ import annotations

from dataclasses import dataclass

from processor.core.event import Event
from processor.core.failpoints import failpoint
from processor.core.request_id import request_id
from processor.dispatcher.accept import Acceptor, EventTooLarge, FunctionDisabled, RateExceeded, UnknownFunction
from processor.http.idempotency import Claimed, IdempotencyKeys
from processor.http.identity import parse_idempotency_key
from processor.http.message import Request, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """The function that an event is for, who let it in, and the shape its handler gets."""

    function: str
    trigger: str
    event_format: str


class OnceAcceptor:
    """One per process that answers HTTP; used on its event loop. Never waits for the rate: it refuses."""

    def __init__(self, acceptor: Acceptor, keys: IdempotencyKeys) -> None:
        self._acceptor = acceptor
        self._keys = keys

    def claim(self, event: Event, key: str | None, about: str, body: bytes) -> Claimed | None:
        """Notes the key of an event that is named by it. about: everything besides the body that has to be the same
        when the key comes again. Raises Refused (422).
        """
        return None if key is None else self._keys.claim(event.source, key, about, body)

    async def accept(self, door: Door, event: Event, claimed: Claimed | None = None) -> str:
        """Returns the RequestId once the event is durable. Raises what Acceptor.accept raises."""
        if claimed is not None and claimed.accepted:
            return request_id(door.function, event.source, event.id)
        try:
            receipt = await self._acceptor.accept(
                door.function, event, trigger=door.trigger, event_format=door.event_format
            )
        except (FunctionDisabled, UnknownFunction, EventTooLarge, RateExceeded):
            if claimed is not None:
                self._keys.refused(claimed)  # after anything else it may be on the log, and the key stays taken
            raise
        if claimed is not None:
            self._keys.accepted(claimed)
        failpoint("http.answer.before")
        return receipt.request_id


def idempotency_key_of(request: Request) -> str | None:
    """Raises Refused (400) when there is one and it is not well-formed."""
    header = request.header(b"idempotency-key")
    return None if header is None else parse_idempotency_key(header)


def accepted(run: str) -> Response:
    return Response(
        status=202,
        body=b'{"request_id":"%s"}' % run.encode(),
        headers=[(b"location", b"/v1/runs/" + run.encode())],
        run=run,
    )
