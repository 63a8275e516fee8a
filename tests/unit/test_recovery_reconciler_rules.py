from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement

import pytest

from processor.core.claims import Stamp, Vector
from processor.core.inflight import Intent
from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started
from processor.core.reconciler import (
    AGREE_AFTER_SEC,
    WINDOW_RECORDS,
    Entry,
    Looks,
    OpenRuns,
    Passed,
    Suspect,
    claimed_entry,
    suspects,
)
from processor.core.request_id import request_id
from processor.core.run import Delivery, StatusCode

TOPIC = "queue.some.function.1"
FUNCTION = "some.function"
QUEUE = (TOPIC, 0)
RUN = request_id(FUNCTION, "s", "1")
DELIVERY = Delivery(TOPIC, 0, 7)
PLACE = Position(0, 0, 5)
BEFORE = Passed(7, Vector("i", {0: (0, 4)}))
AFTER = Passed(8, Vector("i", {0: (0, 5)}))
INTENT = Intent(executor="e#1", request_id=RUN, function=FUNCTION, delivery=DELIVERY, batch=1)
ACCEPTED = Accepted(
    request_id=RUN,
    function=FUNCTION,
    version="1",
    trigger="t",
    source="s",
    event_id="1",
    subject=None,
    accepted_at_ms=0,
    intake=PLACE,
)
STARTED = Started(request_id=RUN, function=FUNCTION, delivery=DELIVERY, executor="e#1", started_at_ms=0)
ENDED = Ended(request_id=RUN, function=FUNCTION, delivery=DELIVERY, status_code=StatusCode.OK)


def ledger(*entries: LedgerRecord) -> OpenRuns:
    runs = OpenRuns()
    for entry in entries:
        runs.observe(entry, 1_000)
    return runs


def found(
    *entries: LedgerRecord,
    passed: Passed = AFTER,
    held: tuple[Intent, ...] = (),
    living: tuple[str, ...] = (),
    begun: tuple[Delivery, ...] = (DELIVERY,),
) -> list[Suspect]:
    return list(suspects(ledger(*entries), {QUEUE: passed}, held, living, begun=begun))


# What one claim does, in the order in which it becomes durable: each step adds to what a reader can see.
INTENT_WRITTEN, COMMITTED, START_WRITTEN, VERDICT_WRITTEN, INTENT_GONE = range(1, 6)
STARTED_RUN = (INTENT_WRITTEN, COMMITTED, START_WRITTEN, VERDICT_WRITTEN, INTENT_GONE)
#: Expired or cancelled in the queue.
UNSTARTED_RUN = (INTENT_WRITTEN, COMMITTED, VERDICT_WRITTEN, INTENT_GONE)


#: What a look reads; `known` is what it knows of the ledger before it begins.
READS = ("known", "commit", "intents", "ledger")


def look(steps: tuple[int, ...], read: dict[str, int]) -> list[Suspect]:
    """What a look finds that reads each of them after so many steps, of an executor that is dead by its end."""
    held = INTENT_WRITTEN in steps[: read["intents"]] and INTENT_GONE not in steps[: read["intents"]]
    entries: list[LedgerRecord] = [ACCEPTED]
    entries += [STARTED] if START_WRITTEN in steps[: read["ledger"]] else []
    entries += [ENDED] if VERDICT_WRITTEN in steps[: read["ledger"]] else []
    passed = AFTER if COMMITTED in steps[: read["commit"]] else BEFORE
    begun = (DELIVERY,) if START_WRITTEN in steps[: read["known"]] else ()
    return found(*entries, passed=passed, held=(INTENT,) if held else (), begun=begun)


def looks_in(order: tuple[str, ...]) -> Iterator[list[Suspect]]:
    for steps in (STARTED_RUN, UNSTARTED_RUN):
        for times in combinations_with_replacement(range(len(steps) + 1), len(READS)):
            yield look(steps, dict(zip(order, times, strict=True)))


def test_a_look_in_the_order_of_the_proof_finds_no_run_that_has_or_will_have_its_verdict() -> None:
    assert not any(looks_in(READS))


WRONG = [
    ("known", "intents", "commit", "ledger"),
    ("known", "commit", "ledger", "intents"),
    ("commit", "intents", "known", "ledger"),
    ("known", "ledger", "commit", "intents"),
    ("known", "ledger", "intents", "commit"),
    ("known", "intents", "ledger", "commit"),
]


@pytest.mark.parametrize("order", WRONG, ids=" then ".join)
def test_any_other_order_would_find_one(order: tuple[str, ...]) -> None:
    assert any(looks_in(order))


def test_a_refused_claim_is_nobodys_until_somebody_claims_it() -> None:
    assert found(ACCEPTED, passed=BEFORE) == []


def test_a_claimed_run_that_nobody_holds_and_that_never_started_is_found() -> None:
    (suspect,) = found(ACCEPTED)
    assert (suspect.request_id, suspect.delivery, suspect.intake) == (RUN, None, PLACE)


def test_a_started_run_that_nobody_holds_is_found_once_its_executor_lives_no_more() -> None:
    assert found(ACCEPTED, STARTED, living=("e#1",)) == []
    (suspect,) = found(ACCEPTED, STARTED, living=("e#2",))
    assert (suspect.delivery, suspect.executor) == (DELIVERY, "e#1")


def test_a_started_run_is_left_alone_while_any_intent_names_its_delivery() -> None:
    assert found(STARTED, held=(INTENT,)) == []


def test_what_never_reached_a_queue_has_its_verdict() -> None:
    rejected = Ended(request_id=RUN, function=FUNCTION, delivery=None, status_code=StatusCode.FUNCTION_NOT_FOUND)
    assert found(ACCEPTED, rejected) == []


def test_a_repeat_of_upstream_that_comes_while_or_after_its_run_went_on_is_not_missed() -> None:
    again = Accepted(**{name: getattr(ACCEPTED, name) for name in ACCEPTED.__slots__} | {"intake": Position(0, 0, 6)})
    assert found(ACCEPTED, STARTED, again, living=("e#1",)) == []
    assert found(ACCEPTED, STARTED, ENDED, again) == []


def test_a_function_without_a_queue_of_its_own_name_is_nobodys_suspect() -> None:
    other = {("queue.other.1", 0): AFTER}
    assert list(suspects(ledger(ACCEPTED), other, (), (), begun=())) == []


def test_too_many_waiting_runs_are_counted_and_not_followed() -> None:
    runs = OpenRuns(followed=1)
    runs.observe(ACCEPTED, 0)
    second = request_id(FUNCTION, "s", "2")
    other = Accepted(**{name: getattr(ACCEPTED, name) for name in ACCEPTED.__slots__} | {"request_id": second})
    runs.observe(other, 0)
    assert [each.request_id for each in runs.waiting()] == [RUN]
    assert runs.unfollowed == 1


def test_what_lies_beyond_the_horizon_is_closed_by_definition() -> None:
    runs = ledger(ACCEPTED, STARTED)
    runs.forget_before(1_000)
    assert list(runs.running()) != []
    runs.forget_before(1_001)
    assert list(runs.running()) == []


def entry(offset: int, place: Position = PLACE) -> Entry:
    stamp = Stamp(
        function=FUNCTION,
        version="1",
        intake_id="i",
        intake=place,
        previous=None,
        event_format="data",
        accepted_at_ms=0,
    )
    return Entry(Delivery(TOPIC, 0, offset), stamp)


SUSPECT = Suspect(request_id=RUN, function=FUNCTION, delivery=None, intake=PLACE)


@pytest.mark.parametrize(
    ("entries", "low", "expected"),
    [
        ([entry(7)], 0, 7),
        ([entry(7), entry(9)], 0, 7),
        ([entry(7), entry(9, Position(0, 0, 8))], 0, 7),
        ([entry(3, Position(0, 0, 1)), entry(7)], 0, None),
        ([], 0, None),
        ([entry(WINDOW_RECORDS + 4)], 5, None),
        ([entry(WINDOW_RECORDS + 5)], 5, WINDOW_RECORDS + 5),
    ],
    ids=[
        "the only one",
        "the first of two copies",
        "a repeat of upstream follows",
        "it may be a repeat of upstream itself",
        "none is left",
        "what it may repeat is swept away",
        "what it may repeat would still be there",
    ],
)
def test_which_entry_was_claimed(entries: list[Entry], low: int, expected: int | None) -> None:
    delivery = claimed_entry(SUSPECT, entries, low)
    assert (delivery and delivery.offset) == expected


def test_nothing_is_closed_before_two_looks_far_enough_apart_agree() -> None:
    looks = Looks()
    assert looks.agreed([SUSPECT], 0.0) == []
    assert looks.agreed([SUSPECT], AGREE_AFTER_SEC - 1) == []
    assert looks.agreed([SUSPECT], AGREE_AFTER_SEC) == [SUSPECT]


def test_a_look_that_does_not_find_it_begins_anew() -> None:
    looks = Looks()
    looks.agreed([SUSPECT], 0.0)
    looks.agreed([], 300.0)
    assert looks.agreed([SUSPECT], AGREE_AFTER_SEC) == []
