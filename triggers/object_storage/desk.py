"""Where the channels of a storage trigger meet: a message's events become durable, and so does its poison."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from processor.core.codec import Unencodable
from processor.core.event import Event
from processor.core.rejected import Headers, Rejection
from processor.dispatcher.accept import EventTooLarge, Receipt
from triggers.abstract import Binding
from triggers.intake import Intake, Trouble
from triggers.object_storage.notification import Parsed, parse
from triggers.object_storage.rules import StorageRules

log = logging.getLogger(__name__)

#: Appends of one message under way at a time: a message may have 1,000 records.
CONCURRENT_EVENTS = 64


@dataclass(slots=True)
class Tally:
    """What became of the notifications since the start."""

    accepted: int = 0
    rejected: int = 0
    ignored: int = 0
    tests: int = 0


class Desk:
    """One per adapter or route; used on the event loop."""

    def __init__(self, intake: Intake, binding: Binding, rules: StorageRules | None = None) -> None:
        """rules: the binding's, where they are at hand. Raises what its settings are worth: ValueError for ones that
        no manifest lets through.
        """
        self._intake = intake
        self._binding = binding
        self.rules = rules or StorageRules.of(binding)
        self.tally = Tally()

    async def deliver(
        self,
        body: bytes,
        *,
        origin: str,
        carrier: str = "",
        headers: Mapping[str, str] | None = None,
        noted: Headers = (),
        on_trouble: Trouble | None = None,
    ) -> list[Receipt]:
        """Returns once everything of the message is durable: then, and only then, acknowledge it.

        origin: for people, where the message stood. carrier, headers: as `parse` wants them. noted: kept with what is
        rejected. Raises UnknownFunction, FunctionDisabled; then nothing may be acknowledged. A cancelled or failed
        call is repeated with the same message: the same identities, so no event becomes two.
        """
        parsed = self.read(body, origin=origin, carrier=carrier, headers=headers)
        receipts = await self.submit(parsed.events, origin=origin, on_trouble=on_trouble)
        await self.reject(parsed, origin=origin, noted=noted, on_trouble=on_trouble)
        return receipts

    def read(self, body: bytes, *, origin: str, carrier: str = "", headers: Mapping[str, str] | None = None) -> Parsed:
        """The first part of `deliver`, for who has many messages at hand; `submit_some` and `reject` are the rest."""
        parsed = parse(body, self.rules, carrier=carrier, headers=headers)
        self.tally.ignored += parsed.ignored
        self.tally.tests += parsed.tests
        if parsed.tests:
            log.info("%s was asked whether it is there: %s", self._binding, origin, extra=self._fields("storage_test"))
        return parsed

    async def submit_some(self, events: Sequence[tuple[Event, str]], *, on_trouble: Trouble | None = None) -> int:
        """events: each with its origin. Returns how many of the first are durable, at least one: as many as the
        function's rate admits at once, in one flush. Raises like `deliver`.
        """
        answers = await self._intake.submit_some(self._binding, [event for event, _ in events], on_trouble=on_trouble)
        for (event, origin), answer in zip(events, answers, strict=False):
            if isinstance(answer, str):
                self.tally.accepted += 1
            else:
                await self._reject(event.data or b"", str(answer), origin, (), on_trouble)
        return len(answers)

    async def reject(
        self, parsed: Parsed, *, origin: str, noted: Headers = (), on_trouble: Trouble | None = None
    ) -> None:
        """Returns once the poison in it is on `rejected`."""
        for each in parsed.poison:
            await self._reject(each.raw, each.reason, origin, noted, on_trouble)

    async def submit(self, events: Sequence[Event], *, origin: str, on_trouble: Trouble | None = None) -> list[Receipt]:
        """Events that can never be accepted go to `rejected`, and are not among the receipts. Raises like `deliver`."""
        answers: list[Receipt | None] = []
        if len(events) == 1:  # nearly always: S3 sends one. A task for it would cost a tenth of its whole way
            answers.append(await self._submit(events[0], origin, on_trouble))
        else:
            for some in _chunks(events):
                answers += await asyncio.gather(*(self._submit(each, origin, on_trouble) for each in some))
        return [each for each in answers if each is not None]

    async def _submit(self, event: Event, origin: str, on_trouble: Trouble | None) -> Receipt | None:
        try:
            receipt = await self._intake.submit(self._binding, event, on_trouble=on_trouble)
        except (EventTooLarge, Unencodable) as error:
            await self._reject(event.data or b"", str(error), origin, (), on_trouble)
            return None
        self.tally.accepted += 1
        return receipt

    async def _reject(self, raw: bytes, reason: str, origin: str, noted: Headers, on_trouble: Trouble | None) -> None:
        rejection = Rejection(
            raw=raw,
            reason=reason,
            origin=origin,
            trigger=self._binding.trigger_id,
            function=self._binding.function,
            headers=noted,
        )
        await self._intake.reject(rejection, on_trouble=on_trouble)
        self.tally.rejected += 1

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self._binding.function, "trigger": self._binding.trigger_id}


def _chunks(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), CONCURRENT_EVENTS):
        yield events[start : start + CONCURRENT_EVENTS]
