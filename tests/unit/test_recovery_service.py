from __future__ import annotations

import logging
from collections.abc import Mapping

import pytest

from processor.core.claims import CommitTag, Vector
from processor.core.clock import ManualClock
from processor.core.inflight import Intent, Sign, SignKind
from processor.core.ledger import Ended, Started, decode, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, StatusCode
from processor.core.topics import INFLIGHT, INSTANCES, RUNS
from processor.recovery.procedure import RUNS_MARGIN_MS, Recovery
from processor.recovery.service import (
    LAST_LOOK_SEC,
    LOOK_AGAIN_SEC,
    OTHERS_FIRST_SEC,
    RecoveryAgenda,
    RecoveryService,
)
from processor.transport.abstract import Committed, TopicPartition
from tests.unit.scripted_transport import ScriptedTransport

TOPIC = "queue.f.1"
ZERO = TopicPartition(TOPIC, 0)
DEAD = "e#dead"
OTHER = "e#other"


class Scene:
    def __init__(self) -> None:
        self.transport = ScriptedTransport(**{TOPIC: 1})
        self.clock = ManualClock()

    def intent(self, number: int, executor: str = DEAD, *, batch: int = 1) -> Intent:
        made = Intent(
            executor=executor, request_id=run(number), function="f", delivery=Delivery(TOPIC, 0, number), batch=batch
        )
        self.transport.put(INFLIGHT.name, 0, made.key, made.encode())
        return made

    def tombstone(self, intent: Intent) -> None:
        self.transport.put(INFLIGHT.name, 0, intent.key, None)

    def started(self, number: int, executor: str) -> None:
        record = Started(
            request_id=run(number),
            function="f",
            delivery=Delivery(TOPIC, 0, number),
            executor=executor,
            started_at_ms=0,
        )
        self.transport.put(RUNS.name, 0, run(number).encode(), encode(record))

    def ended(self, number: int) -> None:
        record = Ended(
            request_id=run(number), function="f", delivery=Delivery(TOPIC, 0, number), status_code=StatusCode.OK
        )
        self.transport.put(RUNS.name, 0, run(number).encode(), encode(record))

    def committed(self, offset: int, executor: str, batch: int = 9) -> None:
        tag = CommitTag(executor=executor, batch=batch, vector=Vector())
        self.transport.offsets[ZERO] = Committed(offset, tag.encode())

    def recover(self) -> int:
        return Recovery(self.transport, self.clock, "test").close_claims([DEAD])

    def lost(self) -> list[str]:
        entries = [decode(each.value) for each in self.transport.records(RUNS.name)]
        return [
            each.request_id
            for each in entries
            if isinstance(each, Ended) and each.status_code is StatusCode.INSTANCE_LOST
        ]

    def open_intents(self) -> list[str]:
        left: dict[bytes | None, bytes] = {}
        for record in self.transport.records(INFLIGHT.name):
            if record.value is None:
                left.pop(record.key, None)
            else:
                left[record.key] = record.value
        return [Intent.decode(each).request_id for each in left.values()]


def run(number: int) -> str:
    return request_id("f", "s", str(number))


def test_what_the_dead_started_or_committed_is_closed_and_what_has_ended_is_not() -> None:
    scene = Scene()
    for number in range(3):
        scene.intent(number)
    scene.started(0, DEAD)
    scene.ended(1)
    scene.committed(3, DEAD, batch=1)
    assert scene.recover() == 0
    assert scene.lost() == [run(0), run(2)]
    assert scene.open_intents() == []


def test_a_claim_that_may_still_land_is_left_open() -> None:
    scene = Scene()
    scene.intent(5)
    scene.committed(5, OTHER)
    assert scene.recover() == 1
    assert (scene.lost(), scene.open_intents()) == ([], [run(5)])


def test_a_delivery_that_another_executor_holds_is_left_to_it() -> None:
    scene = Scene()
    scene.intent(5)
    scene.intent(5, OTHER)
    scene.committed(6, OTHER)
    assert scene.recover() == 0
    assert scene.lost() == []
    assert scene.open_intents() == [run(5)]


def test_runs_is_read_from_the_oldest_open_intent_of_the_dead_and_no_earlier() -> None:
    scene = Scene()
    scene.intent(0, OTHER)  # goes on for a day
    scene.tombstone(scene.intent(1))  # ended long ago, not compacted yet
    for number in range(2, 400):
        scene.tombstone(scene.intent(number, OTHER))
    for _ in range(900):
        scene.ended(0)
    scene.intent(500)
    scene.committed(501, DEAD, batch=1)
    since_ms = scene.transport.records(INFLIGHT.name)[-1].timestamp_ms
    assert scene.recover() == 0
    reader = scene.transport.readers[-1]
    (start,) = [each for each in reader.assigned if TopicPartition(RUNS.name, 0) in each]
    first = scene.transport.records(RUNS.name)[start[TopicPartition(RUNS.name, 0)]]
    assert first.timestamp_ms >= since_ms - RUNS_MARGIN_MS
    assert scene.lost() == [run(500)]


def test_an_intent_written_again_is_as_old_as_it_was() -> None:
    scene = Scene()
    scene.intent(0)
    scene.started(0, DEAD)
    scene.ended(0)
    for number in range(1, 200):
        scene.tombstone(scene.intent(number))
    scene.intent(0, batch=2)
    scene.committed(1, OTHER)
    scene.recover()
    assert scene.lost() == []


def test_the_agenda_looks_again_while_something_waits_and_some_times_after_that() -> None:
    agenda = RecoveryAgenda("r#1")
    now_sec = 0.0
    agenda.add({DEAD: "r#1"}, now_sec)
    for _ in range(5):
        assert agenda.due(now_sec) == [DEAD]
        agenda.looked([DEAD], open_claims=1, now_sec=now_sec)
        assert agenda.due(now_sec) == []
        now_sec += LOOK_AGAIN_SEC
    pauses = []
    while agenda.due(now_sec):
        agenda.looked([DEAD], open_claims=0, now_sec=now_sec)
        began_sec = now_sec
        while not agenda.due(now_sec) and now_sec < began_sec + LAST_LOOK_SEC:
            now_sec += LOOK_AGAIN_SEC
        pauses.append(now_sec - began_sec)
    assert pauses[:3] == [15.0, 45.0, 135.0]
    agenda.add({DEAD: "r#1"}, now_sec)
    assert agenda.due(now_sec + LAST_LOOK_SEC) == [], "it is done with"


def test_who_wrote_the_mark_closes_first_and_the_others_look_somewhat_later() -> None:
    agenda = RecoveryAgenda("r#1")
    agenda.add({DEAD: "e#boot"}, 0.0)
    assert agenda.due(OTHERS_FIRST_SEC - 0.1) == []
    assert agenda.due(OTHERS_FIRST_SEC) == [DEAD]


class Watching(Scene):
    """The service, and a clock that moves with every read; stopped once the dead mark is there."""

    def __init__(self) -> None:
        super().__init__()
        self.service = RecoveryService(transport=self.transport, clock=self.clock, name="test")
        self.service.back_off_sec = 0.0
        self.transport.on_read = self._turn
        self.turns_left = 200

    def _turn(self) -> None:
        self.turns_left -= 1
        self.clock.advance(0.5)
        if not self.turns_left:
            self.service.stop()

    def marked_dead(self) -> list[str]:
        signs = [Sign.decode(each.value or b"") for each in self.transport.records(INSTANCES.name) if is_sign(each)]
        return [each.process for each in signs if each.kind is SignKind.DEAD]

    def watch(self) -> None:
        self.service.start()
        assert self.service.join(20)


def is_sign(record: object) -> bool:
    return getattr(record, "key", b"").startswith((b"heartbeat e#", b"dead "))


def test_a_silent_executor_is_declared_dead_and_its_runs_are_closed() -> None:
    scene = Watching()
    beat = Sign(kind=SignKind.HEARTBEAT, process=DEAD, role="executor", at_ms=0)
    scene.transport.put(INSTANCES.name, 0, beat.key, beat.encode())
    scene.intent(0)
    scene.committed(1, DEAD, batch=1)
    scene.watch()
    assert scene.marked_dead() == [DEAD]
    assert scene.lost() == [run(0)]


@pytest.mark.parametrize("value", [b"\xff", None])
def test_a_sign_that_cannot_be_read_stops_nobody(value: bytes | None) -> None:
    scene = Watching()
    scene.transport.put(INSTANCES.name, 0, b"\xff\xfe", value)
    beat = Sign(kind=SignKind.HEARTBEAT, process=DEAD, role="executor", at_ms=0)
    scene.transport.put(INSTANCES.name, 0, beat.key, beat.encode())
    scene.watch()
    assert scene.marked_dead() == [DEAD]


def test_recovery_outlives_a_defect_and_leaks_no_session(caplog: pytest.LogCaptureFixture) -> None:
    scene = Watching()
    scene.transport.failures["bounds"] = KeyError("a defect")
    scene.transport.on_failure = scene.transport.failures.clear
    with caplog.at_level(logging.ERROR):
        scene.watch()
    assert "a defect" in caplog.text
    assert all(each.closed for each in scene.transport.producers)
    assert all(each.closed for each in scene.transport.readers)


def test_a_recovery_that_stops_takes_its_heartbeat_off_the_log() -> None:
    scene = Watching()
    scene.watch()
    last = {each.key: each.value for each in scene.transport.records(INSTANCES.name)}
    assert [key for key in last if key is not None and key.startswith(b"heartbeat test#recovery-")]
    assert all(value is None for value in last.values())


def test_the_key_of_a_recovery_that_was_killed_long_ago_is_removed() -> None:
    scene = Watching()
    old = Sign(kind=SignKind.HEARTBEAT, process="old#recovery-1", role="recovery", at_ms=0)
    scene.transport.put(INSTANCES.name, 0, old.key, old.encode())
    scene.turns_left = 2_000
    scene.watch()
    assert {each.key: each.value for each in scene.transport.records(INSTANCES.name)}[old.key] is None


def test_the_claims_of_an_executor_that_came_back_in_the_moment_of_its_mark_are_not_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Watching()
    declare = Recovery.declare
    beat = Sign(kind=SignKind.HEARTBEAT, process=DEAD, role="executor", at_ms=0)
    scene.transport.put(INSTANCES.name, 0, beat.key, beat.encode())
    scene.intent(0)
    scene.committed(1, DEAD, batch=1)

    def declare_late(recovery: Recovery, executors: Mapping[str, int | None]) -> None:
        scene.transport.put(INSTANCES.name, 0, beat.key, beat.encode())
        declare(recovery, executors)
        scene.turns_left = 10  # too few for another silence

    monkeypatch.setattr(Recovery, "declare", declare_late)
    scene.watch()
    assert scene.marked_dead() == [DEAD]
    assert scene.lost() == []


def test_a_mark_of_somebody_else_is_followed_some_seconds_later() -> None:
    scene = Watching()
    mark = Sign(kind=SignKind.DEAD, process=DEAD, role="executor", at_ms=0, by="e#boot")
    scene.transport.put(INSTANCES.name, 0, mark.key, mark.encode())
    scene.intent(0)
    scene.committed(1, DEAD, batch=1)
    scene.watch()
    assert scene.lost() == [run(0)]
