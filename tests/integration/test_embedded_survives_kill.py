"""What the embedded log has acknowledged is there after kill -9. Run as a program, this file is the victim."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Committed, Outcome, RebalanceListener, TopicPartition
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end

_ROOT = Path(__file__).resolve().parents[2]
_TOPIC = Topic(name="t", key="-", partitions=2, keep=Keep.UNTIL_CONSUMED)
_PLACES = [TopicPartition("t", number) for number in range(_TOPIC.partitions)]
_GROUP = "g"
_ROUNDS = 12
_CALL_SEC = 10.0


@pytest.mark.timeout(180)
def test_whatever_was_acknowledged_is_there_after_kill_9(tmp_path: Path) -> None:
    acknowledged: set[tuple[int, bytes]] = set()
    committed = -1
    for round_ in range(_ROUNDS):
        # A number of acknowledgements, and then wherever the victim happens to be.
        lines = _run_victim(tmp_path, str(round_), kill_after=random.Random(round_).randint(1, 400))
        appended = [line.split()[1:] for line in lines if line.startswith("appended ")]
        acknowledged |= {(int(partition), value.encode()) for partition, value in appended}
        committed = max([committed, *(int(line.split()[1]) for line in lines if line.startswith("committed "))])
        assert appended
        _check(tmp_path, acknowledged, committed)


def _run_victim(folder: Path, name: str, *, kill_after: int) -> list[str]:
    victim = subprocess.Popen(
        [sys.executable, __file__, str(folder), name], stdout=subprocess.PIPE, text=True, cwd=_ROOT
    )
    assert victim.stdout is not None
    lines = [victim.stdout.readline() for _ in range(kill_after)]
    victim.kill()
    rest, _ = victim.communicate(timeout=_CALL_SEC)
    # The last line may have been cut off by the kill.
    return [each for each in [*lines, *rest.splitlines(keepends=True)] if each.endswith("\n")]


def _check(folder: Path, acknowledged: set[tuple[int, bytes]], committed: int) -> None:
    with EmbeddedTransport(folder) as transport:
        reader = transport.reader()
        records = list(read_to_end(reader, _PLACES, SystemClock(), timeout_sec=_CALL_SEC))
        bounds = reader.bounds(_PLACES, _CALL_SEC)
        reader.close()
        there = [(each.partition, each.value) for each in records]
        assert acknowledged <= set(there)
        assert len(set(there)) == len(there)
        for place in _PLACES:
            offsets = [each.offset for each in records if each.partition == place.partition]
            assert offsets == list(range(bounds[place].high))
        known = transport.admin().committed(_GROUP, _PLACES[:1], _CALL_SEC)[_PLACES[0]]
        # One more may have become durable without its acknowledgement.
        assert known is None or known.offset >= committed
        assert known is None or known.metadata == f"metadata {known.offset}"
        assert known is not None or committed == -1


class _Silent(RebalanceListener):
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        pass

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        pass


def victim(folder: Path, name: str) -> None:
    """Appends batches and commits for ever, and says what was acknowledged."""
    transport = EmbeddedTransport(folder)
    transport.admin().create_topics([_TOPIC], _CALL_SEC)
    consumer = transport.consumer(_GROUP, _Silent())
    consumer.subscribe(["t"])
    consumer.poll(1, 0.0)
    known = consumer.committed(_PLACES[:1], _CALL_SEC)[_PLACES[0]]
    offset = known.offset if known else 0
    producer = transport.producer()
    number = 0
    while True:
        values = [f"{name}-{number + each}-{'x' * 300}" for each in range(20)]
        number += len(values)
        for value in values:
            producer.append("t", value.encode(), partition=len(value) % 2)
        producer.flush(_CALL_SEC)
        _say(*(f"appended {len(value) % 2} {value}" for value in values))
        offset += 1
        if consumer.commit({_PLACES[0]: Committed(offset, f"metadata {offset}")}, _CALL_SEC)[_PLACES[0]] is Outcome.YES:
            _say(f"committed {offset}")


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT))
    victim(Path(sys.argv[1]), sys.argv[2])
