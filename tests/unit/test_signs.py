"""Heartbeats are read by processes of other versions too."""

from __future__ import annotations

import orjson
import pytest

from processor.core.errors import Undecodable
from processor.core.inflight import Sign, SignKind
from processor.core.waits import Wait, WaitReason

BEAT = Sign(kind=SignKind.HEARTBEAT, process="e#1", role="executor", at_ms=7)


def test_a_sign_comes_back_as_it_was() -> None:
    waits = {"f": Wait(WaitReason.CONCURRENCY, 3, 4), "g": Wait(WaitReason.PAUSED)}
    said = Sign(
        kind=SignKind.HEARTBEAT, process="e#1", role="executor", at_ms=7, serving=False, room=False, waits=waits
    )
    assert Sign.decode(said.encode()) == said
    assert Sign.decode(BEAT.encode()) == BEAT


def test_one_with_nothing_to_say_is_as_it_always_was() -> None:
    assert orjson.loads(BEAT.encode()) == ["heartbeat", "e#1", "executor", 7]


def test_what_a_newer_version_adds_is_passed_over() -> None:
    waits = {"f": ["gravity", 0, 0], "g": ["rate", 0, 0, "more"]}
    newer = orjson.dumps(["heartbeat", "e#1", "executor", 7, {"waits": waits, "mood": "good"}, "and so on"])
    assert Sign.decode(newer).waits == {"g": Wait(WaitReason.RATE)}


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'["heartbeat", "e", "executor", 7, []]', b'["odd","e","e",7]'])
def test_anything_else_is_no_sign(value: bytes) -> None:
    with pytest.raises(Undecodable):
        Sign.decode(value)
