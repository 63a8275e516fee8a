from __future__ import annotations

import pytest

from processor.core.errors import Undecodable
from processor.core.trigger_fold import CLAIM_WINDOW_MS, TriggerFold
from processor.core.trigger_records import (
    DISCARDED,
    FireClaim,
    FireOutcome,
    FireRequest,
    Pause,
    RejectedMark,
    Replica,
    Report,
    TriggerRecord,
    decode,
    parse_key,
    trigger_id,
)
from triggers.abstract import Binding

PAUSE = Pause(trigger="f-folder-1", by="ann", at_ms=1)
REQUEST = FireRequest(trigger="f-folder-1", request="r1", by="ann", at_ms=1)
MARK = RejectedMark(place="0-7", state=DISCARDED, by="ann", at_ms=1, rejected_ms=2)
REPORT = Report(trigger="f-folder-1", replica="a#1", state="watching", upcoming=("2026-01-01T00:00:00Z",), lag=3)
OUTCOME = FireOutcome(trigger="f-folder-1", request="r1", replica="a#1", at_ms=5, accepted=1, request_ids=("id",))


def claim_of(replica: str) -> FireClaim:
    return FireClaim(trigger="f-folder-1", request="r1", replica=replica)


class Log:
    """A topic and its fold."""

    def __init__(self) -> None:
        self.fold = TriggerFold()
        self.records: list[tuple[bytes, bytes | None, int]] = []

    def add(self, record: TriggerRecord, *, log_ms: int = 0) -> None:
        self._append(record.key.encode(), record.encode(), log_ms)

    def bury(self, record: TriggerRecord) -> None:
        self._append(record.key.encode(), None, 0)

    def _append(self, key: bytes, value: bytes | None, log_ms: int) -> None:
        self.records.append((key, value, log_ms))
        self.apply(len(self.records) - 1)

    def apply(self, offset: int) -> None:
        key, value, log_ms = self.records[offset]
        self.fold.apply(key, value, offset=offset, log_ms=log_ms, now_sec=float(offset))


@pytest.mark.parametrize(
    "record", [PAUSE, REQUEST, claim_of("a#1"), OUTCOME, REPORT, MARK, Replica(replica="x", at_ms=1)]
)
def test_every_record_comes_back_as_it_was(record: TriggerRecord) -> None:
    assert decode(parse_key(record.key.encode()), record.encode()) == record


def test_members_of_a_later_version_are_left_out() -> None:
    value = PAUSE.encode().replace(b"{", b'{"until":5,', 1)
    assert decode(parse_key(PAUSE.key.encode()), value) == PAUSE


@pytest.mark.parametrize("key", [b"", b"pause", b"pause/a/b", b"new/a", b"\xff\xfe"])
def test_a_key_that_nobody_writes_is_told(key: bytes) -> None:
    with pytest.raises(Undecodable, match="not a key"):
        parse_key(key)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"trigger":"other","by":"x","at_ms":1}'])
def test_a_value_that_does_not_fit_its_key_is_told_and_changes_nothing(value: bytes) -> None:
    log = Log()
    log.add(PAUSE)
    with pytest.raises(Undecodable):
        log.fold.apply(PAUSE.key.encode(), value, offset=1, log_ms=0, now_sec=0)
    assert log.fold.pauses == {PAUSE.trigger: PAUSE}


def test_the_id_is_that_of_the_binding_and_another_one_for_other_settings() -> None:
    binding = Binding(function="f", creation=1, kind="folder", settings={"path": "x", "pattern": "*"})
    assert trigger_id("f", "folder", {"pattern": "*", "path": "x"}) == binding.trigger_id
    assert trigger_id("f", "folder", {"pattern": "*", "path": "y"}) != binding.trigger_id


def test_a_pause_holds_until_its_tombstone_also_when_the_topic_is_read_again() -> None:
    log = Log()
    log.add(PAUSE)
    assert log.fold.pauses == {PAUSE.trigger: PAUSE}
    log.bury(PAUSE)
    assert log.fold.pauses == {}
    log.apply(0)  # a tail that lost its broker begins at the beginning
    assert log.fold.pauses == {}


def test_the_first_claim_in_log_order_fires_and_no_later_one() -> None:
    log = Log()
    log.add(REQUEST, log_ms=1_000)
    log.add(claim_of("b#1"), log_ms=1_010)
    log.add(claim_of("a#1"), log_ms=1_011)
    fire = log.fold.fire("f-folder-1", "r1")
    assert fire is not None
    assert fire.owner == "b#1"


def test_a_claim_that_comes_after_the_window_is_void() -> None:
    log = Log()
    log.add(REQUEST, log_ms=1_000)
    log.add(claim_of("a#1"), log_ms=1_001 + CLAIM_WINDOW_MS)
    fire = log.fold.fire("f-folder-1", "r1")
    assert fire is not None
    assert fire.owner is None


def test_a_buried_request_takes_everything_about_it_along() -> None:
    log = Log()
    log.add(REQUEST)
    log.add(claim_of("a#1"))
    log.add(OUTCOME)
    log.bury(REQUEST)
    log.add(claim_of("b#1"))
    assert log.fold.fire("f-folder-1", "r1") is None


def test_reports_marks_and_life_signs_go_with_their_tombstones() -> None:
    log = Log()
    beat = Replica(replica="a#1", at_ms=1)
    for record in (REPORT, MARK, beat):
        log.add(record)
    assert log.fold.is_live("a#1", 5.0, silence_sec=3.0)
    assert not log.fold.is_live("a#1", 5.1, silence_sec=3.0)
    for record in (REPORT, MARK, beat):
        log.bury(record)
    assert (log.fold.reports, log.fold.marks, log.fold.heard_sec) == ({}, {}, {})
