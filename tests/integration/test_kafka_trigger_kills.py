"""Two replicas of a Kafka trigger, killed again and again: every record has one run, and none has two."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.ledger import Ended, Started, decode
from processor.core.topics import INTAKE, RUNS
from processor.transport.abstract import Record, Transport
from processor.transport.kafka import KafkaTransport
from tests.integration.kafka_source_rig import Source
from tests.integration.pipeline import CALL_SEC, Pipeline, pipeline

FUNCTION = "f"
PARTITIONS = 8
SESSION_MS = 1_500


class Replicas:
    """Of the triggers role; each killed one is replaced at once."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._living: list[subprocess.Popen[str]] = [self._start(), self._start()]

    def kill_one(self) -> None:
        victim = self._living.pop(0)
        _end(victim)
        self._living.append(self._start())

    def kill_all(self) -> None:
        for each in self._living:
            _end(each)

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.kafka_source_process", *self._arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(CALL_SEC)
    assert process.stdout is not None
    process.stdout.close()


class Following:
    """Reads a topic from its first record on."""

    def __init__(self, transport: Transport, topic: str) -> None:
        self._reader = transport.reader(patient=True)
        self._reader.assign(dict.fromkeys(self._reader.partitions(topic, CALL_SEC), 0))

    def until(self, take: Callable[[Record], None], reached: Callable[[], bool], timeout_sec: float) -> None:
        deadline = time.monotonic() + timeout_sec
        while not reached():
            assert time.monotonic() < deadline, "not reached in time"
            for record in self._reader.poll(10_000, 0.2):
                take(record)

    def close(self) -> None:
        self._reader.close()


@contextmanager
def following(transport: Transport, topic: str) -> Iterator[Following]:
    found = Following(transport, topic)
    try:
        yield found
    finally:
        found.close()


def fill(source: Source, records: int, pause_sec: float = 0.0) -> None:
    """pause_sec: after each portion, for sources that are read while they are written."""
    portion = 40 if pause_sec else records // PARTITIONS
    for first in range(0, records, portion * PARTITIONS):
        for partition in range(PARTITIONS):
            begin = first + partition * portion
            numbers = range(begin, min(begin + portion, records))
            source.send(*(orjson.dumps({"n": n, "pad": "x" * 200}) for n in numbers), partition=partition)
        time.sleep(pause_sec)


#: RequestId -> how often it stands on the intake; number of a record -> the RequestIds it is in.
Found = tuple[Counter[str], dict[int, set[str]]]


def kill_while_reading(made: Pipeline, replicas: Replicas, records: int, kills: int, timeout_sec: float) -> Found:
    """Until every record stands on the intake."""
    times: Counter[str] = Counter()
    runs_of: dict[int, set[str]] = {}

    def take(record: Record) -> None:
        event = decode_structured(record.value or b"")
        assert isinstance(event, Event)
        run = (record.key or b"").decode()
        times[run] += 1
        document = orjson.loads(event.data or b"")
        for each in [one["value"] for one in document["records"]] if "records" in document else [document]:
            runs_of.setdefault(each["n"], set()).add(run)

    with following(made.transport, INTAKE.name) as intake:
        for kill in range(1, kills + 1):
            intake.until(take, partial(_has, runs_of, records * kill // (kills + 1)), timeout_sec)
            replicas.kill_one()
        intake.until(take, partial(_has, runs_of, records), timeout_sec)
    return times, runs_of


def _has(numbers: dict[int, set[str]], count: int) -> bool:
    return len(numbers) >= count


def starts_until_all_have_ended(made: Pipeline, records: int, timeout_sec: float) -> Counter[str]:
    starts: Counter[str] = Counter()
    ended: set[str] = set()

    def take(record: Record) -> None:
        entry = decode(record.value)
        if isinstance(entry, Started):
            starts[entry.request_id] += 1
        elif isinstance(entry, Ended):
            ended.add(entry.request_id)

    with following(made.transport, RUNS.name) as runs:
        runs.until(take, lambda: len(ended) >= records, timeout_sec)
    return starts


@contextmanager
def read_under_kills(
    bootstrap: str,
    prefix: str,
    folder: Path,
    *,
    records: int,
    kills: int,
    rate: float,
    limit_sec: float,
    pause_sec: float = 0.0,
    **more: Any,
) -> Iterator[tuple[Pipeline, Found]]:
    source = Source(bootstrap, f"{prefix}source").create(PARTITIONS)
    filling = threading.Thread(target=fill, args=(source, records, pause_sec))
    filling.start()
    if not pause_sec:
        filling.join()
    settings = orjson.dumps({"topic": source.topic, "start": "earliest", **more}).decode()
    with (
        KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix) as transport,
        pipeline(transport, folder) as made,
    ):
        made.deploy(FUNCTION, "workloads:count", rate_per_sec=rate, concurrency=4)
        replicas = Replicas(bootstrap, prefix, FUNCTION, settings, str(SESSION_MS))
        try:
            found = kill_while_reading(made, replicas, records, kills, limit_sec)
        finally:
            replicas.kill_all()
            filling.join()
        yield made, found


def prove(
    bootstrap: str, prefix: str, folder: Path, *, records: int, kills: int, rate: float, limit_sec: float
) -> None:
    with read_under_kills(bootstrap, prefix, folder, records=records, kills=kills, rate=rate, limit_sec=limit_sec) as (
        made,
        (times, _),
    ):
        assert len(times) == records
        made.dispatcher()
        made.executor()
        starts = starts_until_all_have_ended(made, records, limit_sec)
    assert set(starts) == set(times)
    assert max(starts.values()) == 1


def test_replicas_that_are_killed_miss_no_record_and_no_record_runs_twice(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    prove(kafka_bootstrap, topic_prefix, tmp_path, records=4_800, kills=3, rate=1_000, limit_sec=50)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_records_and_ten_kills(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    prove(kafka_bootstrap, topic_prefix, tmp_path, records=100_000, kills=10, rate=4_000, limit_sec=280)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_record_is_in_two_batches_however_often_they_are_cut_anew(
    kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Written while it is read, so that most batches are cut by time."""
    more = {"pause_sec": 0.3, "max_records": 100, "max_wait": 0.05}
    with read_under_kills(
        kafka_bootstrap, topic_prefix, tmp_path, records=16_000, kills=5, rate=4, limit_sec=100, **more
    ) as (_, (times, runs_of)):
        assert {len(runs) for runs in runs_of.values()} == {1}
        assert max(times.values()) > 1  # some were sent twice, or nothing has been tried here
