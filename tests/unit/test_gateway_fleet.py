"""What a gateway says of why queued events wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.clock import ManualClock
from processor.core.function import Function, FunctionVersion
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import BEAT_EVERY_SEC, DECLARE_AFTER_SEC
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason
from processor.gateway.fleet import Fleet
from processor.transport.abstract import Record
from tests.unit.scripted_transport import ScriptedTransport

F = Function(
    name="f", current=FunctionVersion(version="v", handler="m:f", code_digest="d"), concurrency=4, rate_per_sec=10.0
)


class Scene:
    OWN = "gateway#own"

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.fleet = Fleet(ScriptedTransport(), self.clock, self.OWN)

    def hear(self, key: bytes, value: bytes | None) -> None:
        self.fleet.hear(Record(INSTANCES.name, 0, 0, 0, 0, key, value, ()))

    def beat(self, process: str, *, serving: bool = True, room: bool = True, **waits: Wait) -> None:
        role = "recovery" if process == "recovery" else "executor"
        sign = Sign(
            kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=0, serving=serving, room=room, waits=waits
        )
        self.hear(sign.key, sign.encode())

    def gateway_beats(self, process: str) -> None:
        sign = Sign(kind=SignKind.HEARTBEAT, process=process, role="gateway", at_ms=0)
        self.hear(sign.key, sign.encode())

    def only_recovery_beats(self, seconds: float) -> None:
        end_sec = self.clock.boottime() + seconds
        while self.clock.boottime() < end_sec:
            self.beat("recovery")
            self.clock.advance(BEAT_EVERY_SEC)
        self.beat("recovery")

    @property
    def why(self) -> str | None:
        return self.fleet.why_waits(F)


def test_a_pause_is_told_at_once_whoever_lives() -> None:
    assert Scene().fleet.why_waits(replace(F, paused=True)) == "paused"


def test_it_tells_what_the_owners_say() -> None:
    scene = Scene()
    scene.beat("a#1", f=Wait(WaitReason.CONCURRENCY, 1, 1))
    scene.beat("b#1", f=Wait(WaitReason.CONCURRENCY, 3, 3), g=Wait(WaitReason.SLOTS))
    assert scene.why == "concurrency: 4 of 4 running"
    scene.beat("b#1", f=Wait(WaitReason.RATE))
    assert scene.why == "rate: 10/s"


def test_what_nobody_holds_up_has_no_reason() -> None:
    scene = Scene()
    scene.beat("a#1")
    assert scene.why is None


def test_when_all_that_claim_are_full_there_is_no_free_slot() -> None:
    scene = Scene()
    scene.beat("a#1", room=False)
    scene.beat("draining#1", serving=False)
    assert scene.why == "no free slot"


def test_that_no_executor_serves_it_is_said_only_when_one_would_have_been_heard() -> None:
    scene = Scene()
    assert scene.why is None
    scene.only_recovery_beats(DECLARE_AFTER_SEC - BEAT_EVERY_SEC)
    assert scene.why is None
    scene.only_recovery_beats(2 * BEAT_EVERY_SEC)
    assert scene.why == "no executor serves it"


def test_an_outage_that_silences_all_is_no_lack_of_executors() -> None:
    scene = Scene()
    scene.only_recovery_beats(60)
    scene.beat("a#1")
    scene.clock.advance(60)
    assert scene.why is None
    scene.only_recovery_beats(BEAT_EVERY_SEC)
    assert scene.why is None, "the executors' beats may come any moment"
    scene.only_recovery_beats(DECLARE_AFTER_SEC)
    assert scene.why == "no executor serves it"


@pytest.mark.parametrize("key", [b"heartbeat a#1", b"dead a#1"])
def test_an_executor_that_departed_or_was_declared_dead_serves_nothing(key: bytes) -> None:
    scene = Scene()
    scene.only_recovery_beats(60)
    scene.beat("a#1", f=Wait(WaitReason.SLOTS))
    assert scene.why == "no free slot"
    mark = Sign(kind=SignKind.DEAD, process="a#1", role="executor", at_ms=0)
    scene.hear(key, mark.encode() if key == mark.key else None)
    assert scene.why == "no executor serves it"


def test_one_that_drains_serves_nothing() -> None:
    scene = Scene()
    scene.only_recovery_beats(60)
    scene.beat("a#1", serving=False)
    assert scene.why == "no executor serves it"


def test_records_that_cannot_be_read_change_nothing() -> None:
    scene = Scene()
    scene.beat("a#1", f=Wait(WaitReason.SLOTS))
    scene.hear(b"heartbeat a#1", b"{")
    scene.hear(b"\xff", b"\xff")
    assert scene.why == "no free slot"


def test_other_gateways_count_from_their_first_heartbeat_until_they_depart_or_fall_silent() -> None:
    scene = Scene()
    assert scene.fleet.live_gateways() == 1
    scene.gateway_beats("gateway#1")
    scene.gateway_beats("gateway#2")
    assert scene.fleet.live_gateways() == 3
    scene.hear(b"heartbeat gateway#1", None)
    assert scene.fleet.live_gateways() == 2
    scene.only_recovery_beats(DECLARE_AFTER_SEC)
    assert scene.fleet.live_gateways() == 2, "its next heartbeat may still come"
    scene.only_recovery_beats(BEAT_EVERY_SEC)
    assert scene.fleet.live_gateways() == 1


def test_a_gateway_counts_itself_once() -> None:
    scene = Scene()
    scene.gateway_beats(Scene.OWN)
    assert scene.fleet.live_gateways() == 1


def test_no_gateway_drops_out_in_an_outage_in_which_nobody_is_heard() -> None:
    scene = Scene()
    scene.gateway_beats("gateway#1")
    scene.clock.advance(10 * DECLARE_AFTER_SEC)
    assert scene.fleet.live_gateways() == 2
