from __future__ import annotations

from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import DeathWatch, HandOverCheck


def beat(process: str, role: str = "executor") -> Sign:
    return Sign(kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=0)


def dead(process: str) -> Sign:
    return Sign(kind=SignKind.DEAD, process=process, role="executor", at_ms=0)


def test_signs_survive_encoding_and_a_beat_never_shares_a_key_with_a_mark() -> None:
    assert Sign.decode(beat("e#1").encode()) == beat("e#1")
    assert beat("e#1").key != dead("e#1").key


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


def test_an_executor_silent_between_two_of_our_beats_twelve_seconds_apart_is_to_be_declared() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 0.0)
    watch.observe(beat("r#1", "recovery"), 11.9)
    assert watch.to_declare() == []
    watch.observe(beat("r#1", "recovery"), 12.0)
    assert watch.to_declare() == ["e#1"]


def test_a_beat_in_between_starts_the_silence_anew() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 0.0)
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 12.0)
    assert watch.to_declare() == []


def test_an_outage_that_silences_everybody_declares_nobody() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 0.0)
    # An hour without a broker: what comes first afterwards may be ours or theirs.
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 3600.0)
    assert watch.to_declare() == []


def test_a_departed_executor_is_not_declared() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("e#1"))
    watch.departed("e#1")
    watch.observe(beat("r#1", "recovery"), 0.0)
    watch.observe(beat("r#1", "recovery"), 60.0)
    assert watch.to_declare() == []


def test_a_mark_is_final_even_when_a_late_beat_follows_it() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("e#1"))
    watch.observe(dead("e#1"))
    watch.observe(beat("e#1"))
    watch.observe(beat("r#1", "recovery"), 0.0)
    watch.observe(beat("r#1", "recovery"), 60.0)
    assert watch.to_declare() == []
    assert watch.dead() == {"e#1"}


def test_gateways_are_never_declared_dead() -> None:
    watch = DeathWatch("r#1")
    watch.observe(beat("g#1", "gateway"))
    watch.observe(beat("r#1", "recovery"), 0.0)
    watch.observe(beat("r#1", "recovery"), 60.0)
    assert watch.to_declare() == []
