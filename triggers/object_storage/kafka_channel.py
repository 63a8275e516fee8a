"""Pure: a record of a Kafka topic that carries notifications becomes events. triggers/kafka does the reading."""

from __future__ import annotations

from collections.abc import Sequence

from processor.core.event import Event
from triggers.abstract import Binding
from triggers.kafka.abstract import BadRecord, Mixed, Normalise, SourceRecord
from triggers.object_storage.notification import parse
from triggers.object_storage.rules import StorageRules


def normaliser_of(binding: Binding) -> Normalise:
    """For a `storage` binding."""
    rules = StorageRules.of(binding)

    def normalise(record: SourceRecord) -> Sequence[Event] | Mixed:
        if record.value is None:  # a tombstone of a compacted topic says nothing about an object
            return ()
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers}
        parsed = parse(record.value, rules, carrier=record.fallback_identity, headers=headers)
        if not parsed.poison:
            return parsed.events
        # As in the other channels: what is wrong with one object is no reason to lose another.
        poison = [BadRecord(reason=each.reason, raw=each.raw) for each in parsed.poison]
        return Mixed(events=parsed.events, poison=poison)

    return normalise
