"""The other ways in: files dropped into a watched folder, and a program of somebody else that writes CloudEvents to
`intake`, each of them twice.
"""

from __future__ import annotations

import contextlib
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from processor.core.request_id import request_id
from processor.core.topics import INTAKE
from processor.ops.audit.evidence import Answer
from processor.ops.chaos.load import Acknowledgements, Throttle

if TYPE_CHECKING:
    from confluent_kafka import Producer

SOURCE = "foreign:chaos"
FUNCTION = "work"
#: The second copy comes right after the first, or so many events later.
LATER = 40
FLUSH_SEC = 20.0


class Dropper(threading.Thread):
    """Writes files under a hidden name and renames them: they are complete when they can be seen."""

    def __init__(self, folder: Path, *, per_sec: float) -> None:
        super().__init__(name="dropper", daemon=True)
        self._folder, self._pause_sec = folder, 1 / per_sec
        self._stopping = threading.Event()
        self.names: list[str] = []

    def run(self) -> None:
        while not self._stopping.wait(self._pause_sec):
            name = f"{len(self.names)}.txt"
            hidden = self._folder / f".{name}"
            hidden.write_text(name)
            hidden.rename(self._folder / name)
            self.names.append(name)

    def stop(self) -> None:
        self._stopping.set()


class Foreign(threading.Thread):
    """Knows Kafka and CloudEvents, and nothing of Headrace but the name of a function."""

    def __init__(
        self, bootstrap_servers: str, prefix: str, *, per_sec: float, seed: int, told: Acknowledgements
    ) -> None:
        super().__init__(name="foreign producer", daemon=True)
        self._servers, self._topic = bootstrap_servers, prefix + INTAKE.name
        self._throttle = Throttle(per_sec)
        self._chance = random.Random(f"{seed} foreign")  # noqa: S311  # replayable, not secret
        self._told = told
        self._stopping = threading.Event()
        self._again: list[tuple[int, str]] = []

    def run(self) -> None:
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self._servers, "acks": "all", "log_level": 0})
        number = 0
        while not self._stopping.wait(self._throttle.pause_sec(1)):
            number += 1
            self._write(producer, f"foreign-{number}")
            self._again.append((number + self._chance.choice((0, 1, LATER)), f"foreign-{number}"))
            self._repeat(producer, number)
        self._repeat(producer, number + LATER)
        producer.flush(FLUSH_SEC)

    def stop(self) -> None:
        self._stopping.set()

    def _repeat(self, producer: Producer, number: int) -> None:
        for due, key in [each for each in self._again if each[0] <= number]:
            self._again.remove((due, key))
            self._write(producer, key)

    def _write(self, producer: Producer, key: str) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": key,
            "ce_source": SOURCE,
            "ce_type": "chaos",
            "ce_function": FUNCTION,
        }
        named: list[tuple[str, str | bytes | None]] = [*headers.items(), ("content-type", "application/json")]
        # Keyed by chance: the copies come through different partitions, dispatchers and sessions.
        where = str(self._chance.random())
        value = orjson.dumps({"sec": 0.0})

        def delivered(error: Any, message: Any) -> None:
            self._told.add(key, request_id(FUNCTION, SOURCE, key), Answer.UNKNOWN if error else Answer.OK)

        with contextlib.suppress(BufferError):  # the broker is away and the buffer full: this copy is not sent
            producer.produce(self._topic, value, where, headers=named, on_delivery=delivered)
        producer.poll(0)
