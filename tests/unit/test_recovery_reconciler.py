from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from processor.core.claims import STAMP_HEADER, CommitTag, Stamp, Vector
from processor.core.clock import ManualClock
from processor.core.inflight import Intent, Sign, SignKind
from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, decode, encode
from processor.core.reconciler import AGREE_AFTER_SEC
from processor.core.request_id import request_id
from processor.core.run import Delivery, StatusCode
from processor.core.topics import INFLIGHT, INSTANCES, RUNS
from processor.recovery.following import Stopped
from processor.recovery.reconciler import HORIZON_MS, Reconciler, ReconcilerCounts, ReconcilerService
from processor.transport.abstract import Committed, TopicPartition
from tests.unit.scripted_transport import ScriptedTransport

TOPIC = "queue.f.1"
ZERO = TopicPartition(TOPIC, 0)
EXECUTOR = "e#1"


def run(number: int) -> str:
    return request_id("f", "s", str(number))


class Scene:
    """One queue partition; intake position and queue offset of a run are its number."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport(**{TOPIC: 1})
        self.clock = ManualClock()
        self.counts = ReconcilerCounts()
        self.reconciler = Reconciler(self.transport, self.clock, "r#reconciler", self.counts, pause=lambda _: False)

    def accepted(self, number: int, intake: int | None = None) -> None:
        self._ledger(
            Accepted(
                request_id=run(number),
                function="f",
                version="1",
                trigger="t",
                source="s",
                event_id=str(number),
                subject=None,
                accepted_at_ms=0,
                intake=Position(0, 0, number if intake is None else intake),
            )
        )

    def queued(self, number: int, intake: int | None = None) -> None:
        place = Position(0, 0, number if intake is None else intake)
        stamp = Stamp("f", "1", "i", place, None, "data", 0)
        self.transport.put(TOPIC, 0, run(number).encode(), b"{}", [(STAMP_HEADER, stamp.encode())])

    def submitted(self, *numbers: int) -> None:
        for number in numbers:
            self.accepted(number)
            self.queued(number)

    def committed(self, offset: int, executor: str = EXECUTOR, batch: int = 1) -> None:
        tag = CommitTag(executor=executor, batch=batch, vector=Vector("i", {0: (0, offset - 1)}))
        self.transport.offsets[ZERO] = Committed(offset, tag.encode())

    def intent(self, number: int, *, batch: int = 1, abandoned: bool = False) -> Intent:
        made = Intent(
            executor=EXECUTOR,
            request_id=run(number),
            function="f",
            delivery=Delivery(TOPIC, 0, number),
            batch=batch,
            abandoned=abandoned,
        )
        self.transport.put(INFLIGHT.name, 0, made.key, made.encode())
        return made

    def tombstone(self, intent: Intent) -> None:
        self.transport.put(INFLIGHT.name, 0, intent.key, None)

    def started(self, number: int) -> None:
        delivery = Delivery(TOPIC, 0, number)
        self._ledger(
            Started(request_id=run(number), function="f", delivery=delivery, executor=EXECUTOR, started_at_ms=0)
        )

    def ended(self, number: int) -> None:
        delivery = Delivery(TOPIC, 0, number)
        self._ledger(Ended(request_id=run(number), function="f", delivery=delivery, status_code=StatusCode.OK))

    def sign(self, kind: SignKind = SignKind.HEARTBEAT) -> None:
        sign = Sign(kind=kind, process=EXECUTOR, role="executor", at_ms=0)
        self.transport.put(INSTANCES.name, 0, sign.key, sign.encode())

    def looks(self, *, far_apart: bool = True) -> None:
        """Some looks, so many that something would be closed."""
        for _ in range(4):
            self.reconciler.look()
            self.clock.advance(AGREE_AFTER_SEC / 2 if far_apart else 1.0)

    def lost(self) -> list[Delivery | None]:
        entries = [decode(each.value) for each in self.transport.records(RUNS.name)]
        return [
            each.delivery
            for each in entries
            if isinstance(each, Ended) and each.status_code is StatusCode.INSTANCE_LOST
        ]

    def _ledger(self, entry: LedgerRecord) -> None:
        self.transport.put(RUNS.name, 0, entry.request_id.encode(), encode(entry))


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.reconciler.close()
    assert all(each.closed for each in made.transport.readers)
    assert all(each.closed for each in made.transport.producers)


def test_where_every_run_has_a_verdict_a_holder_or_its_turn_to_come_nothing_is_found(scene: Scene) -> None:
    scene.submitted(0, 1, 2)
    scene.sign()
    scene.tombstone(scene.intent(0))
    scene.intent(1)
    scene.committed(2)
    scene.started(0)
    scene.ended(0)
    scene.started(1)
    scene.looks()
    assert scene.counts == ReconcilerCounts(looks=4)
    assert scene.lost() == []


def test_a_claimed_run_without_intent_start_or_verdict_is_said_loudly_and_closed_by_the_second_look(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.submitted(0, 1)
    scene.tombstone(scene.intent(0))
    scene.committed(1)
    with caplog.at_level(logging.ERROR):
        scene.looks()
    assert scene.lost() == [Delivery(TOPIC, 0, 0)], "once, and not the one that waits"
    assert (scene.counts.found, scene.counts.closed) == (1, 1)
    actions = [getattr(each, "action", "") for each in caplog.records]
    assert actions == ["reconciler_found", "reconciler_closed"]


def test_a_started_run_without_intent_is_closed_once_its_executor_is_dead(scene: Scene) -> None:
    scene.submitted(0)
    scene.sign()
    scene.committed(1)
    scene.started(0)
    scene.looks()
    assert scene.lost() == []
    scene.sign(SignKind.DEAD)
    scene.looks()
    assert scene.lost() == [Delivery(TOPIC, 0, 0)]


def test_looks_that_follow_each_other_closely_close_nothing(scene: Scene) -> None:
    scene.submitted(0)
    scene.committed(1)
    scene.looks(far_apart=False)
    assert (scene.counts.found, scene.lost()) == (1, [])


def test_what_turns_up_between_two_looks_is_not_closed(scene: Scene) -> None:
    scene.submitted(0)
    scene.committed(1)
    scene.reconciler.look()
    scene.clock.advance(AGREE_AFTER_SEC)
    scene.started(0)
    scene.ended(0)
    scene.looks()
    assert scene.lost() == []


def test_a_late_repeat_of_a_start_is_told_from_a_lost_run_by_the_ledger(scene: Scene) -> None:
    """The session that wrote both failed after they had landed, and its executor died between the repeats."""
    scene.submitted(0)
    scene.committed(1)
    for write in (scene.started, scene.ended, scene.started):
        write(0)
    scene.looks()
    assert (scene.counts.found, scene.counts.untold, scene.lost()) == (0, 0, [])


def test_what_may_be_a_repeat_of_upstream_is_counted_and_left_alone(scene: Scene) -> None:
    scene.queued(0, intake=0)  # long ago: the ledger knows nothing of it any more
    scene.accepted(0, intake=1)
    scene.queued(0, intake=1)
    scene.committed(2)
    scene.looks()
    assert (scene.counts.untold, scene.counts.found, scene.lost()) == (1, 0, [])


def test_the_queue_is_not_read_while_nothing_is_suspicious(scene: Scene) -> None:
    scene.submitted(0)
    scene.intent(0)
    scene.committed(1)
    scene.looks()
    assert not any(ZERO in assigned for reader in scene.transport.readers for assigned in reader.assigned)


def test_beyond_the_horizon_nothing_is_closed(scene: Scene) -> None:
    scene.submitted(0)
    scene.committed(1)
    scene.transport.timestamp_ms = lambda offset: HORIZON_MS + 1_000_000 + offset
    scene.sign()
    scene.looks()
    assert (scene.counts.found, scene.lost()) == (0, [])


def test_a_claim_that_a_living_executor_gave_up_is_decided_as_if_it_were_dead(scene: Scene) -> None:
    scene.submitted(0, 1, 2)
    scene.sign()
    scene.intent(0, abandoned=True)
    scene.intent(1, batch=2, abandoned=True)
    scene.intent(2, batch=2)
    scene.committed(1)
    scene.reconciler.look()
    assert scene.lost() == [Delivery(TOPIC, 0, 0)]
    assert scene.counts.abandoned == 1, "the other one may still land"
    scene.committed(2, "e#2", 7)
    scene.reconciler.look()
    assert scene.lost() == [Delivery(TOPIC, 0, 0), Delivery(TOPIC, 0, 1)]


def test_a_look_is_given_up_when_the_service_is_to_stop() -> None:
    scene = Scene()
    stopped = Reconciler(scene.transport, scene.clock, "r#reconciler", scene.counts, pause=lambda _: True)
    scene.submitted(0)
    scene.committed(1)
    with pytest.raises(Stopped):
        stopped.look()
    stopped.close()
    scene.reconciler.close()


def test_the_service_looks_until_it_is_stopped_and_leaks_no_session() -> None:
    transport = ScriptedTransport(**{TOPIC: 1})
    service = ReconcilerService(transport=transport, clock=ManualClock(), name="test", every_sec=0.001)
    service.start()
    while service.counts.looks < 3:
        assert not service.join(0.001)
    service.stop()
    assert service.join(10)
    assert all(each.closed for each in transport.readers)
