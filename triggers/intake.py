"""Where every adapter's events end: on the intake log, or, if they cannot be events, on `rejected`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_random_exponential

from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.rejected import Rejection
from processor.core.topics import REJECTED
from processor.dispatcher.accept import Acceptor, NotAccepted, Receipt
from processor.transport.abstract import Appender, Outcome
from triggers.abstract import Binding

log = logging.getLogger(__name__)

#: Between two tries of one event, at most.
RETRY_MAX_SEC = 30.0
#: The shape that the runtime makes of an event whose adapter has already given it a platform's shape.
AS_DATA = "data"
_SHAPED = frozenset({"scf", "aws"})

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
        event_format = AS_DATA if binding.event_format in _SHAPED else binding.event_format
        async for attempt in _until_durable(on_trouble):
            with attempt:
                return await self._acceptor.accept_when_admitted(
                    binding.function, event, trigger=binding.kind, event_format=event_format
                )
        raise AssertionError("tries without end")

    async def reject(self, rejection: Rejection, *, on_trouble: Trouble | None = None) -> None:
        """Returns once it is durable on `rejected`."""
        log.warning("rejected %s: %s", rejection.origin, rejection.reason, extra={"action": "reject"})
        async for attempt in _until_durable(on_trouble):
            with attempt:
                appended = await self._appender.append(
                    REJECTED.name, rejection.value(), headers=rejection.all_headers()
                )
                if appended.outcome is not Outcome.YES:
                    raise NotAccepted("", appended.outcome, appended.reason)


def _until_durable(on_trouble: Trouble | None) -> AsyncRetrying:
    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if on_trouble is not None and isinstance(error, HeadraceError):
            on_trouble(error)

    return AsyncRetrying(
        retry=retry_if_exception_type(NotAccepted),
        wait=wait_random_exponential(multiplier=0.2, max=RETRY_MAX_SEC),
        stop=stop_never,
        before_sleep=note,
    )
