from __future__ import annotations

import logging

import orjson

from processor.core.errors import Undecodable
from processor.core.function import Function, decode_function
from processor.core.topics import FUNCTIONS
from processor.registry.plan import merge
from processor.transport.abstract import Record

log = logging.getLogger(__name__)


class FunctionsView:
    """The fold of the `functions` topic. One thread applies; any thread may read."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self._by_queue: dict[str, Function] = {}
        self._creations: dict[str, int] = {}
        self._next_offset = 0
        #: Records that this version of Headrace cannot read, by function: the last readable state goes on to hold.
        self.unreadable: dict[str, str] = {}
        #: Functions whose last record lacks versions of the one before (see plan.merge): a deploy writes it anew.
        self.unsettled: set[str] = set()

    def apply(self, record: Record) -> None:
        """Never raises. Ignores records of other topics, and those it has had: a reader that lost its broker may begin
        at the beginning again.
        """
        if record.topic != FUNCTIONS.name or record.key is None or record.offset < self._next_offset:
            return
        self._next_offset = record.offset + 1
        name = record.key.decode("utf-8", "replace")
        try:
            self._apply(name, record.value)
        except Undecodable as error:
            self.unreadable[name] = str(error)
            log.warning("function record skipped: %s", error, extra={"action": "function_unreadable", "function": name})
        else:
            self.unreadable.pop(name, None)

    def get(self, name: str) -> Function | None:
        return self._functions.get(name)

    def all(self) -> tuple[Function, ...]:
        """In the order of their names' first appearance."""
        return tuple(self._functions.values())

    def by_queue_topic(self, topic: str) -> Function | None:
        """The function whose present queue this is."""
        return self._by_queue.get(topic)

    def last_creation(self, name: str) -> int:
        """The highest creation number ever seen of this name, deleted ones included; 0 when there was none."""
        return self._creations.get(name, 0)

    def _apply(self, name: str, value: bytes | None) -> None:
        seen = self._functions.get(name)
        if value is None:
            self._remove(name, seen)
            return
        buried = creation_of_grave(value)
        if buried is not None:
            self._creations[name] = max(self.last_creation(name), buried)
            self._remove(name, seen)
            return
        newer = decode_function(value)
        function = merge(seen, newer) if seen else newer
        self._creations[name] = max(self.last_creation(name), function.creation)
        (self.unsettled.discard if function == newer else self.unsettled.add)(name)
        if seen and seen.queue_topic != function.queue_topic:
            self._by_queue.pop(seen.queue_topic, None)
        self._functions[name] = function
        self._by_queue[function.queue_topic] = function

    def _remove(self, name: str, seen: Function | None) -> None:
        self._functions.pop(name, None)
        self.unsettled.discard(name)
        if seen:
            self._by_queue.pop(seen.queue_topic, None)


_GRAVE = "deleted_creation"


def encode_grave(creation: int) -> bytes:
    """What replaces a deleted function's record. No tombstone: compaction would forget the creation number with it, and
    the next creation of the name would get a queue that still has the committed offsets of the old one.
    """
    return orjson.dumps({_GRAVE: creation})


def creation_of_grave(value: bytes) -> int | None:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    found = document.get(_GRAVE) if isinstance(document, dict) else None
    return found if isinstance(found, int) else None
