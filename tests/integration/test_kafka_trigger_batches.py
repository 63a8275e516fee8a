"""Batches: where they are cut, and that a crash does not cut them anew."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from processor.core.event import Event
from processor.core.topics import MAX_EVENT_BYTES
from tests.integration.kafka_source_rig import Rig, Source, run
from triggers.kafka.member import Member, NotOurs


@pytest.fixture
def source(kafka_bootstrap: str, topic_prefix: str) -> Source:
    return Source(kafka_bootstrap, f"{topic_prefix}orders")


def values(event: Event) -> list[object]:
    return [each["value"] for each in orjson.loads(event.data or b"")["records"]]


def test_batches_are_cut_by_count_and_by_time(source: Source) -> None:
    async def main() -> None:
        source.create().send(*(b"%d" % n for n in range(25)))
        rig = Rig(source, max_records=10, max_wait=0.2)
        async with rig.running():
            found = await rig.until_events(3)
        assert [values(each) for each in found] == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
        assert [each.subject for each in found] == [f"{source.topic}/0/{part}" for part in ("0-9", "10-19", "20-24")]

    run(main)


def test_a_batch_fits_into_an_event_and_poison_is_taken_out_of_it(source: Source) -> None:
    async def main() -> None:
        source.create(1, **{"max.message.bytes": "3000000"})
        large = b'"' + b"x" * 400_000 + b'"'
        source.send(large, large, b"{no json", large, b'"' + b"y" * 999_990 + b'"', b"1")
        rig = Rig(source, max_records=100, max_wait=0.3, value="json")
        async with rig.running():
            found = await rig.until_events(3)
            await rig.until(lambda: len(rig.log.rejections) == 2)
        assert [len(values(each)) for each in found] == [2, 1, 1]
        assert all(len(each.data or b"") <= MAX_EVENT_BYTES for each in found)
        origins = sorted(each.origin for each in rig.log.rejections)
        assert origins == [f"{source.topic}/0/{offset}" for offset in (2, 4)]

    run(main)


def by_identity(events: Sequence[Event]) -> dict[str, set[bytes | None]]:
    found: dict[str, set[bytes | None]] = {}
    for each in events:
        found.setdefault(each.id, set()).add(each.data)
    return found


def test_a_crash_before_the_commit_repeats_the_same_batches(source: Source) -> None:
    """The first life sends two batches and hears of neither; the second finds more records there, and another limit."""

    async def main() -> None:
        source.create().send(*(b"%d" % n for n in range(12)))
        first = Rig(source, max_records=5, max_wait=0.1)
        first.log.broken = first.log.unknown = True
        async with first.running():
            await first.until_events(2)
        source.send(*(b"%d" % n for n in range(12, 30)))
        second = Rig(source, max_records=100, max_wait=0.1)
        second.log.events = first.log.events
        async with second.running():
            await second.until(lambda: sum(len(values(each)) for each in unique(second.log.events)) == 30)
        found = by_identity(second.log.events)
        assert all(len(contents) == 1 for contents in found.values())
        assert [values(each) for each in unique(second.log.events)] == [[*range(5)], [*range(5, 10)], [*range(10, 30)]]

    run(main)


def test_a_commit_that_is_refused_makes_the_partition_begin_anew_where_it_was(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, refusals = Member.commit, [False, False, True, True]

    async def refusing(self: Member, offsets: Any, limit_sec: float = 5.0) -> None:
        if refusals and refusals.pop(0):
            raise NotOurs
        await commit(self, offsets, limit_sec)

    async def main() -> None:
        monkeypatch.setattr(Member, "commit", refusing)
        source.create().send(*(b"%d" % n for n in range(30)))
        rig = Rig(source, max_records=10, max_wait=0.1)
        async with rig.running():
            await rig.until(lambda: len(unique(rig.log.events)) == 3 and not refusals)
            source.send(b"30")
            await rig.until(lambda: len(unique(rig.log.events)) == 4)
        assert [values(each) for each in unique(rig.log.events)] == [
            [*range(10)],
            [*range(10, 20)],
            [*range(20, 30)],
            [30],
        ]

    run(main)


def unique(events: Sequence[Event]) -> list[Event]:
    return list({each.id: each for each in events}.values())


def test_scf_and_aws_batches_carry_the_records_of_one_partition(source: Source) -> None:
    async def main() -> None:
        source.create(2).send(b"a", b"b", partition=1, key=b"k")
        for event_format in ("scf", "aws"):
            rig = Rig(
                source, max_records=2, max_wait=0.1, event_format=event_format, group=f"{source.topic}{event_format}"
            )
            async with rig.running():
                (found,) = await rig.until_events(1)
            assert found.extensions["headraceformat"] == "data"
            document = orjson.loads(found.data or b"")
            if event_format == "scf":
                assert [each["Ckafka"]["msgBody"] for each in document["Records"]] == ["a", "b"]
            else:
                records = document["records"][f"{source.topic}-1"]
                assert [base64.b64decode(each["value"]) for each in records] == [b"a", b"b"]

    run(main)
