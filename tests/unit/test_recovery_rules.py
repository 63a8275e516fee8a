from __future__ import annotations

from processor.core.claims import CommitTag, Vector
from processor.core.inflight import Intent, executor_id, executor_name
from processor.core.ledger import DeliveryState, Ended, Started
from processor.core.recovery import Findings, Remedy, decide
from processor.core.run import Delivery, StatusCode

DELIVERY = Delivery("queue.f.1", 0, 7)
INTENT = Intent(executor="e#1", request_id="r", function="f", delivery=DELIVERY, batch=3)
OWN_TAG = CommitTag(executor="e#1", batch=3, vector=Vector())
OTHER_TAG = CommitTag(executor="e#2", batch=3, vector=Vector())
NOTHING = DeliveryState()


def started_by(executor: str) -> DeliveryState:
    return DeliveryState(
        started=Started(request_id="r", function="f", delivery=DELIVERY, executor=executor, started_at_ms=0)
    )


ENDED = DeliveryState(verdict=Ended(request_id="r", function="f", delivery=DELIVERY, status_code=StatusCode.OK))


def found(
    offset: int | None, tag: CommitTag | None = OTHER_TAG, *, other: bool = False, delivery: DeliveryState = NOTHING
) -> Findings:
    return Findings(committed_offset=offset, committed_tag=tag, claimed_by_other=other, delivery=delivery)


def test_an_intent_survives_encoding() -> None:
    assert Intent.decode(INTENT.encode()) == INTENT
    assert executor_name(executor_id("a-name", "17")) == "a-name"


def test_a_delivery_with_a_verdict_only_loses_its_intent() -> None:
    assert decide(INTENT, found(8, OWN_TAG, delivery=ENDED)) is Remedy.TOMBSTONE


def test_a_run_that_the_dead_executor_started_is_closed() -> None:
    assert decide(INTENT, found(8, delivery=started_by("e#1"))) is Remedy.CLOSE


def test_a_batch_that_the_commit_names_is_closed_although_nothing_was_started() -> None:
    assert decide(INTENT, found(8, OWN_TAG)) is Remedy.CLOSE


def test_nothing_is_decided_while_a_commit_may_still_land() -> None:
    assert decide(INTENT, found(7)) is Remedy.WAIT
    assert decide(INTENT, found(None, None)) is Remedy.WAIT


def test_a_delivery_that_somebody_else_claimed_is_theirs() -> None:
    assert decide(INTENT, found(8, other=True)) is Remedy.TOMBSTONE
    assert decide(INTENT, found(8, delivery=started_by("e#2"))) is Remedy.TOMBSTONE


def test_a_delivery_passed_by_commits_that_nobody_else_holds_was_ours_and_is_closed() -> None:
    assert decide(INTENT, found(9)) is Remedy.CLOSE
