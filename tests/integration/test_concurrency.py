"""A function's `concurrency` holds over several executors, also while one of them finishes what it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.inflight import Sign
from processor.core.run import Status
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, pipeline, starts

LIMIT_SEC = 40.0


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        made: Transport = EmbeddedTransport(tmp_path / "log")
    else:
        bootstrap, prefix = request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix")
        made = KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix)
    with made:
        yield made


def test_the_next_owner_of_its_queue_counts_what_a_draining_executor_still_runs(
    transport: Transport, tmp_path: Path
) -> None:
    journal, gate = tmp_path / "journal", tmp_path / "gate"
    with pipeline(transport, tmp_path) as line:
        line.deploy("work", "journal:until_gate", env={"JOURNAL": str(journal), "GATE": str(gate)}, concurrency=2)
        line.dispatcher()
        first = line.executor("first", slots=4)
        before = [line.submit("work", number, f"{number}") for number in range(20)]
        await_sign(line, "first", lambda sign: sum(sign.held.values()) == 2)
        first.stop()
        line.executor("second", slots=4)
        await_sign(line, "second", lambda sign: sign.waits.get("work") == Wait(WaitReason.CONCURRENCY, 2, 2))
        assert sum(starts(journal).values()) == 2
        gate.touch()
        assert {each.status for each in line.wait_for_verdicts(before).values()} == {Status.FINISHED}


def await_sign(line: Pipeline, name: str, seen: Callable[[Sign], bool]) -> None:
    """Until the last heartbeat of this executor is one that is looked for."""
    deadline_sec = time.monotonic() + LIMIT_SEC
    while True:
        signs = [Sign.decode(each.value) for each in line.read(INSTANCES.name) if each.value is not None]
        last = [each for each in signs if each.process.startswith(f"{name}#") and each.role == "executor"][-1:]
        if any(map(seen, last)):
            return
        assert time.monotonic() < deadline_sec, last
        time.sleep(0.1)
