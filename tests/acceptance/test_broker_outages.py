"""Three brokers: the leader of a topic killed under load, and all of them away while runs go on.

`make bench-faults` measures the same at full size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from deploy.kafka.broker import LocalKafka
from deploy.kafka.errors import Unavailable
from processor.ops.bench.faults_brokers import OFFSETS_TOPIC, all_away, leaders_killed
from processor.ops.brokers import Brokers
from tests.broker import unavailable

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

RUNS = 20
AWAY_SEC = 45.0


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    with contextlib.ExitStack() as stack:
        try:
            kafka = stack.enter_context(LocalKafka(data_dir=tmp_path_factory.mktemp("kafka"), nodes=3))
        except Unavailable as why:
            unavailable(why)
        yield Brokers(kafka)


def test_the_leader_of_each_topic_is_killed_in_turn_and_nothing_acknowledged_is_lost(brokers: Brokers) -> None:
    topics = ("intake", "queue.bench-noop", "runs", "inflight", "instances", OFFSETS_TOPIC)
    found = leaders_killed(brokers, per_sec=60.0, topics=topics)
    assert found.kills == len(topics)
    assert found.acknowledged > 0
    assert (found.lost, found.without_verdict, found.started_twice) == (0, 0, 0)


def test_no_run_is_killed_and_no_result_lost_while_all_brokers_are_away_for_45_s(brokers: Brokers) -> None:
    found = all_away(brokers, runs=RUNS, away_sec=AWAY_SEC)
    assert found.runs == RUNS
    assert found.ended_meanwhile >= RUNS // 4, "nothing was put to the test"
    assert (found.killed, found.results_lost, found.wrong_verdicts) == (0, 0, 0)
