"""An executor that slept through its eviction, with its buffers full, and wakes beside its heir."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.inflight import Sign, SignKind, executor_name
from processor.core.ledger import Ended, decode
from processor.core.topics import INSTANCES, RUNS
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, await_start, pipeline, starts
from tests.integration.test_recovery import executor

WAIT_SEC = 60.0
#: One for each slot of the executor.
HELD = ("held1", "held2")
BACKLOG = 20


@pytest.fixture
def line(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Pipeline]:
    transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    with transport, pipeline(transport, tmp_path) as made:
        made.deploy("work", "journal:run", env={"JOURNAL": str(tmp_path / "journal")})
        gate = {"JOURNAL": str(tmp_path / "journal"), "GATE": str(tmp_path / "gate")}
        for name in HELD:  # of one partition each: whoever comes back gets some of the others
            made.deploy(name, "journal:until_gate", env=gate, concurrency=1)
        made.dispatcher()
        yield made


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_a_sleeper_had_buffered_is_started_by_its_heir_only(
    line: Pipeline, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    with executor(kafka_bootstrap, topic_prefix, tmp_path, "sleeper") as sleeper:
        held = [line.submit(name, {}, "held") for name in HELD]
        for each in held:
            await_start(journal, each)
        buffered = [line.submit("work", {}, f"buffered {number}") for number in range(BACKLOG)]
        _await_beat(line, lambda sign: "work" in sign.waits)
        os.kill(sleeper.pid, signal.SIGSTOP)
        with executor(kafka_bootstrap, topic_prefix, tmp_path, "heir"):
            line.wait_for_verdicts(buffered, WAIT_SEC)
            os.kill(sleeper.pid, signal.SIGCONT)
            (tmp_path / "gate").touch()
            line.wait_for_verdicts(held, WAIT_SEC)  # it has room again
            after = _served_until_it_takes_part(line)
    twice = {run for run, count in starts(journal).items() if count > 1}
    assert twice == set(), "I3 nothing was started twice"
    assert starts(journal) == Counter([*held, *buffered, *after])


def _served_until_it_takes_part(line: Pipeline) -> list[str]:
    """Sends events until the sleeper has run some again, whichever; returns them."""
    deadline, sent = time.monotonic() + WAIT_SEC, list[str]()
    while time.monotonic() < deadline:
        batch = [line.submit("work", {}, f"after {len(sent) + number}") for number in range(BACKLOG)]
        sent += batch
        line.wait_for_verdicts(batch, WAIT_SEC)
        ended = [each for each in map(decode, (each.value for each in line.read(RUNS.name))) if isinstance(each, Ended)]
        if any((each.function, executor_name(each.executor)) == ("work", "sleeper") for each in ended):
            return sent
    raise AssertionError("the sleeper does not come back")


def _await_beat(line: Pipeline, says: Callable[[Sign], bool]) -> None:
    """Blocks until an executor's heartbeat does."""
    deadline = time.monotonic() + WAIT_SEC
    reader = line.transport.reader()
    try:
        reader.assign(dict.fromkeys(reader.partitions(INSTANCES.name, WAIT_SEC), 0))
        while time.monotonic() < deadline:
            signs = [Sign.decode(each.value) for each in reader.poll(1_000, 0.2) if each.value is not None]
            if any(each.kind is SignKind.HEARTBEAT and says(each) for each in signs):
                return
    finally:
        reader.close()
    raise AssertionError("no executor says so")
