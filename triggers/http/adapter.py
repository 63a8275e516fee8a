from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from processor.core.clock import Clock
from processor.core.topics import MAX_EVENT_BYTES
from processor.dispatcher.accept import FunctionDisabled, NotAccepted
from processor.http.body import check_encoding
from processor.http.identity import uuid7
from processor.http.message import Request, Response
from processor.http.once import Door, OnceAcceptor, accepted, idempotency_key_of
from processor.http.problems import Refused, unavailable
from triggers.abstract import Binding, Trigger
from triggers.http.call import HttpCall, call_of
from triggers.http.listener import Listener
from triggers.http.routed import RoutedTrigger
from triggers.http.routes import ANY
from triggers.http.shapes import event_of
from triggers.http.token import check_bearer, token_from
from triggers.intake import AS_DATA

_AUTHORIZATION = frozenset({b"authorization"})
#: Formats that the adapter itself makes, as JSON data.
_SHAPED = frozenset({"scf", "aws"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpTriggers:
    """Makes the adapters of all `http` triggers of a process."""

    listener: Listener
    once: OnceAcceptor
    clock: Clock
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def make(self, binding: Binding) -> Trigger:
        """Raises SecretMissing."""
        return HttpTrigger(binding, self)


class HttpTrigger(RoutedTrigger):
    """A request to its path becomes an event; the answer is 202, once the event is durable.

    The function's rate refuses (429): a caller can be told to come again, and must not be kept waiting.
    """

    def __init__(self, binding: Binding, shared: HttpTriggers) -> None:
        methods = methods_of(binding.settings)
        path = str(binding.settings["path"])
        super().__init__(binding, listener=shared.listener, clock=shared.clock, path=path, methods=methods)
        self._once = shared.once
        self._token = token_from(shared.environment, binding.settings.get("token_env"))
        self._any_method = ANY in methods
        event_format = AS_DATA if binding.event_format in _SHAPED else binding.event_format
        self._door = Door(function=binding.function, trigger=binding.kind, event_format=event_format)

    async def answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        check_bearer(request, self._token)
        check_encoding(request)
        key = idempotency_key_of(request)
        body = await request.body(MAX_EVENT_BYTES)
        run = await self._accept(self._call(request, body, parameters), key)
        return accepted(run)

    def _call(self, request: Request, body: bytes, parameters: Mapping[str, str]) -> HttpCall:
        return call_of(
            request,
            body,
            template=self._route.template.path,
            any_method=self._any_method,
            path_parameters=parameters,
            unix_ms=self._clock.unix_ms(),
            secret=frozenset() if self._token is None else _AUTHORIZATION,
        )

    async def _accept(self, call: HttpCall, key: str | None) -> str:
        event_id, source = key or uuid7(), f"headrace:http/{self._door.function}{call.path}"
        event = event_of(call, self._binding.event_format, self._door.function, event_id=event_id, source=source)
        about = f"{call.method} {call.query}\n{call.content_type}"
        claimed = self._once.claim(event, key, about, call.body)
        try:
            run = await self._once.accept(self._door, event, claimed)
        except FunctionDisabled as error:
            told = unavailable("function-disabled", "Function is disabled", str(error), remedy=error.remedy)
            raise Refused(told) from error
        except NotAccepted as error:
            self._condition.note_trouble(error)
            raise
        self._condition.note_accepted()
        return run


def methods_of(settings: Mapping[str, Any]) -> frozenset[str]:
    method = settings.get("method", "POST")
    return frozenset([method] if isinstance(method, str) else method)
