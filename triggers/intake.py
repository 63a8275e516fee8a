"""Where every adapter's events end: on the intake log, or, if they cannot be events, on `rejected`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_random_exponential

from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.failpoints import failpoint
from processor.core.rejected import Rejection
from processor.core.topics import REJECTED
from processor.dispatcher.accept import Accepted, Acceptor, NotAccepted, Receipt
from processor.transport.abstract import Appender, Outcome
from triggers.abstract import Binding

log = logging.getLogger(__name__)

#: Between two tries of one event, at most.
RETRY_MAX_SEC = 30.0
#: The shape that the runtime makes of an event whose adapter has already given it a platform's shape.
AS_DATA = "data"
_SHAPED = frozenset({"scf", "aws"})

Answer = TypeVar("Answer")
Trouble = Callable[[HeadraceError], None]


class Intake:
    """One per process that runs triggers; used on its event loop. Tries until the log has answered YES: an adapter
    acknowledges its source when a call has returned, and never before. A cancelled call may or may not have written.
    """

    def __init__(self, acceptor: Acceptor, appender: Appender) -> None:
        self._acceptor = acceptor
        self._appender = appender

    async def submit(self, binding: Binding, event: Event, *, on_trouble: Trouble | None = None) -> Receipt:
        """Waits for a token of the function's rate, then until the event is durable; every try has the same identity.

        on_trouble: told about each failed try. Raises UnknownFunction, FunctionDisabled, EventTooLarge: these would
        come again and again, so the adapter has to decide (reject, or wait).
        """
        failpoint("triggers.submit.before")
        receipt = await _until_durable(
            lambda: self._acceptor.accept_when_admitted(
                binding.function, event, trigger=binding.kind, event_format=_format_of(binding)
            ),
            on_trouble,
        )
        failpoint("triggers.submit.after")
        return receipt

    async def submit_some(
        self, binding: Binding, events: Sequence[Event], *, on_trouble: Trouble | None = None
    ) -> list[Accepted]:
        """For many events at hand: returns once the first of them, and as many right behind it as the function's rate
        admits at once, are durable. The answers, RequestIds or why an event can never be one, belong to
        events[: len(answers)]; the rest is for the next call. Raises UnknownFunction, FunctionDisabled.
        """
        return await _until_durable(
            lambda: self._acceptor.accept_some(
                binding.function, events, trigger=binding.kind, event_format=_format_of(binding)
            ),
            on_trouble,
        )

    async def reject(self, rejection: Rejection, *, on_trouble: Trouble | None = None) -> None:
        """Returns once it is durable on `rejected`."""
        log.warning("rejected %s: %s", rejection.origin, rejection.reason, extra={"action": "reject"})
        await _until_durable(lambda: self._keep(rejection), on_trouble)

    async def _keep(self, rejection: Rejection) -> None:
        appended = await self._appender.append(REJECTED.name, rejection.value(), headers=rejection.all_headers())
        if appended.outcome is not Outcome.YES:
            raise NotAccepted("", appended.outcome, appended.reason)


def _format_of(binding: Binding) -> str:
    return AS_DATA if binding.event_format in _SHAPED else binding.event_format


async def _until_durable(attempt: Callable[[], Awaitable[Answer]], on_trouble: Trouble | None) -> Answer:
    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if on_trouble is not None and isinstance(error, HeadraceError):
            on_trouble(error)

    try:
        return await attempt()
    except NotAccepted as error:
        first = error  # what follows costs more than an event that is accepted at once
    async for again in AsyncRetrying(
        retry=retry_if_exception_type(NotAccepted),
        wait=wait_random_exponential(multiplier=0.2, max=RETRY_MAX_SEC),
        stop=stop_never,
        before_sleep=note,
    ):
        with again:
            if again.retry_state.attempt_number == 1:
                raise first
            return await attempt()
    raise AssertionError("tries without end")
