"""The offsets of quiet queues are committed again, so that no broker forgets them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from processor.core.claims import CommitTag
from processor.executor import renewals
from processor.recovery.reading import EXECUTOR_GROUP
from processor.transport.abstract import Committed, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, pipeline, starts


@pytest.fixture(params=["embedded", "kafka"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    if request.param == "embedded":
        made: Transport = EmbeddedTransport(tmp_path / "log")
    else:
        bootstrap, prefix = request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix")
        made = KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix)
    with made:
        yield made


def test_offsets_that_were_committed_again_and_again_mean_what_they_meant_before(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "RENEW_FIRST_SEC", 0.1)
    monkeypatch.setattr(renewals, "RENEW_EVERY_SEC", 0.1)
    journal = tmp_path / "journal"
    with pipeline(transport, tmp_path) as line:
        line.deploy("work", "journal:run", env={"JOURNAL": str(journal)})
        line.dispatcher()
        first = line.executor("first")
        before = [line.submit("work", {}, f"before {number}") for number in range(3)]
        line.wait_for_verdicts(before)
        offsets = {at: each.offset for at, each in committed(line).items()}
        for _ in range(2):
            await_renewal(line)
        assert {at: each.offset for at, each in committed(line).items()} == offsets
        first.stop()
        assert first.join(30)
        line.executor("second")
        again = [line.submit("work", {}, f"before {number}") for number in range(3)]
        after = line.submit("work", {}, "after")
        line.wait_for_verdicts([after])
        assert again == before
        assert starts(journal) == Counter([*before, after])


def committed(line: Pipeline) -> dict[TopicPartition, Committed]:
    queues = [TopicPartition("queue.work.1", number) for number in range(4)]
    found = line.transport.admin().committed(EXECUTOR_GROUP, queues, 30)
    return {at: each for at, each in found.items() if each is not None}


def await_renewal(line: Pipeline) -> None:
    """Until every partition bears a later batch than now."""
    before = {at: CommitTag.decode(each.metadata).batch for at, each in committed(line).items()}
    assert len(before) == 4
    deadline_sec = time.monotonic() + 30
    while any(CommitTag.decode(each.metadata).batch <= before[at] for at, each in committed(line).items()):
        assert time.monotonic() < deadline_sec, "not committed again"
        time.sleep(0.05)
