"""Pure: a notification's bytes, whoever sent them and however they are wrapped, become events.

`parse` is what every channel calls (Kafka, SQS, webhook). It never raises: what cannot be read is poison, with its
reason and with bytes that may be stored, because the caller's signatures are out of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from processor.core.event import Event
from triggers.object_storage.change import ObjectChange
from triggers.object_storage.object_event import event_of
from triggers.object_storage.rules import StorageRules
from triggers.object_storage.scrub import scrubbed_bytes
from triggers.object_storage.unwrap import Carrier, Poison, Test, Unwanted, read

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """What one notification is. Acknowledge it when every event is on the intake and every poison on `rejected`."""

    events: tuple[Event, ...] = ()
    poison: tuple[Poison, ...] = ()
    #: Records that this trigger does not want.
    ignored: int = 0
    #: s3:TestEvent and its kind.
    tests: int = 0


#: Of one message. Event Grid sends 5,000 at most, S3 one; two million of them would fit into the largest message.
MAX_ENTRIES = 10_000
#: Of one message, each on its own. More of them are kept as one: the whole message.
MAX_POISON = 100
#: Begins the reason of what could not be read because of a mistake of ours.
MISTAKE = "it cannot be read"


def parse(body: bytes, rules: StorageRules, *, carrier: str = "", headers: Mapping[str, str] | None = None) -> Parsed:
    """body: the whole message. carrier: its name in its channel, the same in every redelivery of it (a Kafka position,
    an SQS MessageId); "" where there is none. It is part of the identity only for senders that give no better one.
    headers: of the message, names in lower case; used where a provider puts half of the notification there (Pub/Sub).
    """
    try:
        return _parsed(body, rules, Carrier(name=carrier, headers=headers or {}))
    except Exception as error:  # a mistake of ours must not bring a message back for ever, and its trigger down
        log.exception("a notification cannot be read", extra={"action": "storage_parse_failed"})
        return _whole(body, f"{MISTAKE}: {error!r}")


def _parsed(body: bytes, rules: StorageRules, carrier: Carrier) -> Parsed:
    events: list[Event] = []
    poison: list[Poison] = []
    ignored = tests = 0
    for number, found in enumerate(read(body, rules, carrier)):
        if number >= MAX_ENTRIES:
            return _whole(body, f"it has more than {MAX_ENTRIES:,} entries; no store sends so many")
        match found:
            case ObjectChange():
                if rules.wants(found):
                    events.append(event_of(found, rules))
                else:
                    ignored += 1
            case Poison():
                poison.append(found)
            case Unwanted():
                ignored += 1
            case Test():
                tests += 1
    if len(poison) > MAX_POISON:
        reason = f"{len(poison):,} of its entries cannot be read, such as the first: {poison[0].reason}"
        poison = [Poison(raw=scrubbed_bytes(body), reason=reason)]
    return Parsed(events=tuple(events), poison=tuple(poison), ignored=ignored, tests=tests)


def _whole(body: bytes, reason: str) -> Parsed:
    return Parsed(poison=(Poison(raw=scrubbed_bytes(body), reason=reason),))
