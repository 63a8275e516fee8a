from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from processor.core.claims import (
    MAX_INTAKE_PARTITIONS,
    MAX_METADATA_BYTES,
    Claimed,
    CommitTag,
    Order,
    Stamp,
    Vector,
    settle,
)
from processor.core.errors import Undecodable
from processor.core.ledger import Position

INTAKE = "AAAAAAAAAAAAAAAAAAAAAA=="


def stamp(
    offset: int, previous: int | None = None, *, epoch: int = 0, partition: int = 0, intake: str = INTAKE
) -> Stamp:
    before: Order | None = None if previous is None else (epoch, previous)
    return Stamp("f", "v", intake, Position(partition, epoch, offset), before, "data", 0)


def test_a_stamp_survives_encoding() -> None:
    assert Stamp.decode(stamp(7, 3).encode()) == stamp(7, 3)


@pytest.mark.parametrize("value", [b"", b"{}", b"[1,2]", b"null", b'["f","v","i",[1],null,"d",0]'])
def test_what_is_no_stamp_is_said_to_be_undecodable(value: bytes) -> None:
    with pytest.raises(Undecodable):
        Stamp.decode(value)


def test_a_record_above_the_vector_is_taken_and_its_repeat_is_not() -> None:
    vector = Vector(INTAKE)
    assert vector.takes(stamp(5))
    vector.take(stamp(5))
    assert not vector.takes(stamp(5))
    assert not vector.takes(stamp(4))
    assert vector.takes(stamp(9, 5))


def test_a_record_after_a_hole_is_not_taken_since_it_will_come_again() -> None:
    vector = Vector(INTAKE)
    vector.take(stamp(5))
    assert not vector.takes(stamp(9, 7))
    assert not Vector(INTAKE).takes(stamp(9, 7))


def test_a_record_dropped_for_a_hole_does_not_count_as_passed() -> None:
    vector = Vector(INTAKE)
    vector.take(stamp(5))
    assert vector.has_passed(stamp(5))
    assert not vector.has_passed(stamp(9, 7))


def test_a_higher_leader_epoch_is_above_any_offset_of_a_lower_one() -> None:
    vector = Vector(INTAKE)
    vector.take(stamp(100))
    assert vector.takes(stamp(3, epoch=1))


def test_another_intake_topic_starts_a_new_vector() -> None:
    vector = Vector(INTAKE)
    vector.take(stamp(100))
    other = stamp(0, intake="BBBBBBBBBBBBBBBBBBBBBB==")
    assert vector.takes(other)
    vector.take(other)
    assert not vector.takes(other)


def test_intake_partitions_do_not_mix() -> None:
    vector = Vector(INTAKE)
    vector.take(stamp(100, partition=1))
    assert vector.takes(stamp(3, partition=2))


def test_the_metadata_of_a_full_vector_fits_into_an_offset_commit() -> None:
    vector = Vector(INTAKE, dict.fromkeys(range(MAX_INTAKE_PARTITIONS), (2**31, 2**62)))
    tag = CommitTag(executor="a-rather-long-host-name-0123456789" * 4 + "#0123456789abcdef", batch=2**62, vector=vector)
    assert len(tag.encode()) <= MAX_METADATA_BYTES
    assert CommitTag.decode(tag.encode()) == tag


@pytest.mark.parametrize("text", ["", "hello", "2 e 1 x:", "1 e one x:", "1 e 1 x:%%%", "1 e 1 x:AAAA"])
def test_foreign_metadata_is_said_to_be_undecodable(text: str) -> None:
    with pytest.raises(Undecodable):
        CommitTag.decode(text)


def test_only_our_own_batch_read_back_proves_an_unknown_commit() -> None:
    assert settle("mine", "mine") is Claimed.OURS
    assert settle("mine", "theirs") is Claimed.UNDECIDED
    assert settle("mine", None) is Claimed.UNDECIDED


EVENTS, SESSIONS = 3, 3
Sessions = tuple[tuple[int | None, int, bool], ...]
#: committed intake offset, owner, sessions (start, appended up to, alive), queue, appends that failed unnoticed
World = tuple[int, int | None, Sessions, tuple[tuple[int, int | None], ...], frozenset[tuple[int, int]]]


def steps(world: World) -> Iterator[World]:
    """Sessions append in order from the committed offset, one append may fail while later ones land, old sessions live
    on as zombies: every interleaving of that, as in the first sketch of the repeat rule.
    """
    committed, owner, sessions, queue, holes = world
    for number, (start, upto, alive) in enumerate(sessions):
        if not alive:
            continue
        if start is None:
            if owner is None:
                yield committed, number, _put(sessions, number, (committed, committed, True)), queue, holes
            continue
        if upto < EVENTS:
            further = _put(sessions, number, (start, upto + 1, True))
            yield committed, owner, further, (*queue, (upto, upto - 1 if upto > start else None)), holes
            if len(holes) < 2:
                yield committed, owner, further, queue, holes | {(number, upto)}
        if owner == number and upto > committed and all(each != number for each, _ in holes):
            yield upto, owner, sessions, queue, holes
        yield committed, None if owner == number else owner, _put(sessions, number, (start, upto, False)), queue, holes
    if owner is not None:
        yield committed, None, sessions, queue, holes


def _put(sessions: Sessions, number: int, session: tuple[int | None, int, bool]) -> Sessions:
    return (*sessions[:number], session, *sessions[number + 1 :])


def taken_from(queue: tuple[tuple[int, int | None], ...]) -> list[int]:
    vector, taken = Vector(INTAKE), []
    for offset, previous in queue:
        if vector.takes(stamp(offset, previous)):
            vector.take(stamp(offset, previous))
            taken.append(offset)
    return taken


@pytest.mark.slow
def test_every_committed_intake_record_is_taken_exactly_once_and_in_order_in_every_interleaving() -> None:
    first: World = (0, None, ((None, 0, True),) * SESSIONS, (), frozenset())
    seen, ahead = {first}, deque([first])
    while ahead:
        world = ahead.popleft()
        taken = taken_from(world[3])
        assert taken == list(range(len(taken))), world
        assert len(taken) >= world[0], world
        if len(world[3]) <= 6:
            for following in steps(world):
                if following not in seen:
                    seen.add(following)
                    ahead.append(following)
    assert len(seen) > 100_000
