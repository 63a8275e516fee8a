from __future__ import annotations

from typing import Any

import pytest

from processor.core.function import Function, FunctionVersion
from processor.core.trigger_fold import TriggerFold
from processor.core.trigger_records import (
    FireClaim,
    FireOutcome,
    FireRequest,
    Pause,
    Replica,
    Report,
    TriggerRecord,
    trigger_id,
)
from processor.gateway.trigger_documents import SILENCE_SEC, Entry, entries_of, trigger_document

SETTINGS = {"path": "in"}
ID = trigger_id("f", "folder", SETTINGS)
ENTRY = Entry(id=ID, function="f", enabled=True, kind="folder", settings=SETTINGS)


def report(replica: str, state: str, **more: Any) -> Report:
    return Report(trigger=ID, replica=replica, state=state, **more)


def document(*records: TriggerRecord, entry: Entry = ENTRY, now_sec: float = 0.0) -> dict[str, Any]:
    fold = TriggerFold()
    for offset, record in enumerate(records):
        fold.apply(record.key.encode(), record.encode(), offset=offset, log_ms=1_000, now_sec=0.0)
    return trigger_document(entry, fold, now_sec)


def alive(*replicas: str) -> list[TriggerRecord]:
    return [Replica(replica=each, at_ms=0) for each in replicas]


def test_equal_entries_of_a_function_are_one() -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    events = ({"folder": SETTINGS}, {"folder": dict(SETTINGS)}, {"folder": {"path": "out"}})
    assert [each.settings["path"] for each in entries_of(Function(name="f", current=version, events=events))] == [
        "in",
        "out",
    ]


def test_counts_of_all_living_processes_are_added_up() -> None:
    found = document(
        *alive("a#1", "b#1"),
        report("a#1", "watching", accepted=2, rejected=1, last_event_ms=1_000, lag=5),
        report("b#1", "watching", accepted=3, last_event_ms=2_000, upcoming=("x",)),
        report("dead#1", "watching", accepted=100),
    )
    assert (found["state"], found["accepted"], found["rejected"], found["lag"]) == ("watching", 5, 1, 5)
    assert (found["last_event_at"], found["upcoming"]) == ("1970-01-01T00:00:02.000Z", ["x"])
    assert {each["replica"]: each["state"] for each in found["replicas"]} == {
        "a#1": "watching",
        "b#1": "watching",
        "dead#1": "stale",
    }


def test_the_best_process_makes_the_state_and_the_trouble_of_the_others_is_named() -> None:
    failed = report("b#1", "failed", reason="no rights", remedy="Ask.")
    found = document(*alive("a#1", "b#1"), failed, report("a#1", "watching"))
    assert (found["state"], found["reason"]) == ("watching", "failed in b#1: no rights")
    alone = document(*alive("b#1"), failed)
    assert (alone["state"], alone["reason"], alone["remedy"]) == ("failed", "no rights", "Ask.")


@pytest.mark.parametrize(
    ("records", "now_sec", "state"),
    [
        ([], 0.0, "unreported"),
        ([*alive("a#1"), report("a#1", "watching")], SILENCE_SEC, "watching"),
        ([*alive("a#1"), report("a#1", "watching")], SILENCE_SEC + 1, "stale"),
        ([Pause(trigger=ID, by="ann", at_ms=0)], 0.0, "paused"),
        ([Pause(trigger=ID, by="ann", at_ms=0), *alive("a#1"), report("a#1", "watching")], 0.0, "watching"),
    ],
)
def test_silence_has_states_of_its_own(records: list[TriggerRecord], now_sec: float, state: str) -> None:
    found = document(*records, now_sec=now_sec)
    assert found["state"] == state
    assert found["paused"] is any(isinstance(each, Pause) for each in records)
    if state in ("unreported", "stale"):
        assert "headrace start triggers" in found["remedy"]


def test_a_disabled_function_and_a_kind_of_the_gateways_are_told_apart() -> None:
    off = Entry(id=ID, function="f", enabled=False, kind="folder", settings=SETTINGS)
    ours = Entry(id=ID, function="f", enabled=True, kind="cloudevents", settings={})
    assert document(entry=off)["state"] == "disabled"
    assert document(entry=ours)["state"] == "watching"


def test_a_request_to_fire_shows_how_far_it_is() -> None:
    request = FireRequest(trigger=ID, request="r", by="ann", at_ms=1)
    claim = FireClaim(trigger=ID, request="r", replica="a#1")
    done = FireOutcome(trigger=ID, request="r", replica="a#1", at_ms=5, accepted=1, request_ids=("id",))
    failed = FireOutcome(trigger=ID, request="r", replica="a#1", at_ms=5, error="away", remedy="Wait.")
    states = [document(*records)["fires"][0]["state"] for records in (
        [request], [request, claim], [request, claim, done], [request, claim, failed])]  # fmt: skip
    assert states == ["asked", "firing", "fired", "failed"]
    assert document(request, claim, done)["fires"][0]["request_ids"] == ["id"]


def test_only_the_newest_requests_are_shown_newest_first() -> None:
    requests = [FireRequest(trigger=ID, request=f"r{number}", by="ann", at_ms=1) for number in range(9)]
    assert [each["id"] for each in document(*requests)["fires"]] == ["r8", "r7", "r6", "r5", "r4"]
