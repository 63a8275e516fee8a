from __future__ import annotations

import pytest

from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import FORGET_AFTER_SEC, DeathWatch, HandOverCheck, OwnBeat, Silent


def beat(process: str, role: str = "executor") -> Sign:
    return Sign(kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=0)


def dead(process: str, *, after: int | None = None, by: str = "r#2") -> Sign:
    return Sign(kind=SignKind.DEAD, process=process, role="executor", at_ms=0, by=by, after=after)


class Log:
    """`instances` as recovery r#1 reads it: each record gets the next offset."""

    def __init__(self) -> None:
        self.watch = DeathWatch("r#1")
        self._offset = -1

    def add(self, sign: Sign) -> int:
        self._offset += 1
        self.watch.observe(sign, self._offset)
        return self._offset

    def own(self, sent_sec: float, durable_sec: float | None = None) -> None:
        self._offset += 1
        landed_sec = sent_sec if durable_sec is None else durable_sec
        self.watch.observe(beat("r#1", "recovery"), self._offset, OwnBeat(sent_sec, landed_sec))

    def own_beats(self, first_sec: float, last_sec: float) -> None:
        """Three seconds apart, and one at the end."""
        at_sec = first_sec
        while at_sec < last_sec:
            self.own(at_sec)
            at_sec += 3.0
        self.own(last_sec)


def test_signs_survive_encoding_and_a_beat_never_shares_a_key_with_a_mark() -> None:
    assert Sign.decode(beat("e#1").encode()) == beat("e#1")
    assert beat("e#1").key != dead("e#1").key


def test_a_mark_says_who_wrote_it_and_after_which_beat() -> None:
    assert Sign.decode(dead("e#1", after=7, by="r#1").encode()) == dead("e#1", after=7, by="r#1")


def test_a_mark_of_an_older_version_is_understood() -> None:
    assert Sign.decode(b'["dead","e#1","executor",0]') == dead("e#1", by="")


def test_nothing_is_handed_over_before_the_first_reading_of_the_log() -> None:
    check = HandOverCheck()
    assert not check.passes(0.0)
    check.acknowledged(0.0)
    assert not check.passes(0.1)
    check.read_to_end(0.1)
    assert check.passes(0.2)


def test_a_gap_between_acknowledged_beats_asks_for_another_reading() -> None:
    check = HandOverCheck()
    check.acknowledged(0.0)
    check.read_to_end(0.0)
    assert check.passes(10.0)
    assert not check.passes(10.1)
    check.acknowledged(10.2)
    assert not check.passes(10.3), "the gap stays until the log was read, however fresh the beat"
    check.read_to_end(10.4)
    assert check.passes(10.5)


def test_a_reading_that_began_before_the_newest_beat_closes_no_gap() -> None:
    check = HandOverCheck()
    check.acknowledged(20.0)
    check.read_to_end(19.0)
    assert not check.passes(20.1)


def test_a_beat_that_may_have_landed_late_is_a_gap_however_early_it_was_sent() -> None:
    check = HandOverCheck()
    check.acknowledged(0.0, 0.1)
    check.read_to_end(0.2)
    check.acknowledged(9.9, 10.5)
    assert not check.passes(10.6)
    check.read_to_end(10.7)
    assert check.passes(10.8)


def test_an_executor_silent_between_two_of_our_beats_twelve_seconds_apart_is_to_be_declared_once() -> None:
    log = Log()
    last = log.add(beat("e#1"))
    log.own_beats(0.0, 11.9)
    assert log.watch.to_declare() == []
    log.own(12.0)
    assert log.watch.to_declare() == [Silent("e#1", last)]
    log.own(15.0)
    assert log.watch.to_declare() == []


def test_a_beat_of_ours_counts_from_when_it_was_certainly_on_the_log() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.own(0.0, 5.0)
    log.own_beats(6.0, 16.9)
    assert log.watch.to_declare() == []
    log.own(17.0)
    assert len(log.watch.to_declare()) == 1


def test_a_beat_in_between_starts_the_silence_anew() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.own_beats(0.0, 11.0)
    log.add(beat("e#1"))
    log.own_beats(12.0, 23.9)
    assert log.watch.to_declare() == []


def test_an_outage_that_silences_everybody_declares_nobody_though_recovery_is_back_first() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.own_beats(0.0, 6.0)
    # An hour without a broker; e#1 needs some seconds more than we do.
    log.own_beats(3600.0, 3611.9)
    assert log.watch.to_declare() == []
    log.own(3612.0)
    assert len(log.watch.to_declare()) == 1, "this long after the outage it is silent by itself"


def test_a_short_outage_that_holds_our_own_beat_up_declares_nobody() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.own(-3.0)
    log.own(0.0, 9.9)
    log.own(9.9, 9.9)
    assert log.watch.to_declare() == []


def test_when_a_silence_will_be_long_enough_is_known_beforehand() -> None:
    log = Log()
    assert log.watch.judged_at_sec() is None
    log.add(beat("e#1"))
    log.own(5.0)
    log.own(8.0)
    assert log.watch.judged_at_sec() == 17.0


def test_a_departed_executor_is_not_declared() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.watch.departed("e#1")
    log.own_beats(0.0, 60.0)
    assert log.watch.to_declare() == []
    assert log.watch.living() == frozenset()


def test_a_mark_is_final_even_when_a_late_beat_follows_it() -> None:
    log = Log()
    last = log.add(beat("e#1"))
    log.add(dead("e#1", after=last))
    log.add(beat("e#1"))
    log.own_beats(0.0, 60.0)
    assert log.watch.to_declare() == []
    assert log.watch.dead() == {"e#1": "r#2"}


def test_a_mark_that_came_after_the_executor_had_come_back_closes_nothing() -> None:
    """It may have looked for a mark before there was one: what it starts now must not be closed as lost."""
    log = Log()
    last = log.add(beat("e#1"))
    log.own_beats(0.0, 12.0)
    assert log.watch.to_declare() == [Silent("e#1", last)]
    back = log.add(beat("e#1"))
    log.add(dead("e#1", after=last, by="r#1"))
    assert log.watch.dead() == {}
    log.own_beats(15.0, 27.0)
    assert log.watch.to_declare() == [Silent("e#1", back)], "it is watched as before"


def test_who_cannot_tell_whether_a_mark_counts_waits_for_a_silence_of_his_own() -> None:
    """Compaction took the beats before the mark away: there was a later one."""
    log = Log()
    mark = log.add(dead("e#1", after=-5))
    assert log.watch.dead() == {}
    log.own_beats(0.0, 12.0)
    assert log.watch.to_declare() == [Silent("e#1", mark)]
    log.add(dead("e#1", after=mark))
    assert log.watch.dead().keys() == {"e#1"}


def test_a_mark_for_another_reason_than_silence_always_counts() -> None:
    log = Log()
    log.add(beat("e#1"))
    log.add(dead("e#1", by="e#boot"))
    assert log.watch.dead() == {"e#1": "e#boot"}


def test_the_first_mark_that_counts_says_whose_work_it_is() -> None:
    log = Log()
    last = log.add(beat("e#1"))
    log.add(dead("e#1", after=last, by="r#1"))
    log.add(dead("e#1", after=last, by="r#2"))
    assert log.watch.dead() == {"e#1": "r#1"}


def test_gateways_are_never_declared_dead() -> None:
    log = Log()
    log.add(beat("g#1", "gateway"))
    log.own_beats(0.0, 60.0)
    assert log.watch.to_declare() == []


@pytest.mark.parametrize("role", ["recovery", "gateway"])
def test_the_key_of_a_recovery_or_gateway_that_was_killed_goes_after_some_minutes(role: str) -> None:
    log = Log()
    log.add(beat("r#0", role))
    log.own_beats(0.0, FORGET_AFTER_SEC - 1)
    assert log.watch.gone() == []
    log.add(beat("r#2", "recovery"))
    log.own(FORGET_AFTER_SEC)
    assert log.watch.gone() == ["r#0"]
    assert log.watch.gone() == []
