"""What an executor learns from `instances`: the log's time, and who else has room."""

from __future__ import annotations

from processor.core.clock import ManualClock
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import DECLARE_AFTER_SEC
from processor.core.topics import INSTANCES
from processor.executor.peers import RETRY_SEC, SILENT_SEC, Peers
from processor.transport.abstract import TransportUnavailable
from tests.unit.scripted_transport import ScriptedTransport

HOUR_MS = 3_600_000


class Scene:
    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.clock = ManualClock()
        #: The log's clock is an hour ahead of ours.
        self.transport.timestamp_ms = lambda _: self.clock.unix_ms() + HOUR_MS
        self.peers = Peers(self.transport, self.clock, "me#1")
        self.peers.follow()

    def beat(self, process: str, *, role: str = "executor", serving: bool = True, room: bool = True) -> None:
        sign = Sign(kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=0, serving=serving, room=room)
        self.transport.put(INSTANCES.name, 0, sign.key, sign.encode())
        self.peers.follow()

    def runs(self, process: str, held: dict[str, int]) -> None:
        sign = Sign(kind=SignKind.HEARTBEAT, process=process, role="executor", at_ms=0, held=held)
        self.transport.put(INSTANCES.name, 0, sign.key, sign.encode())
        self.peers.follow()


def test_the_time_is_the_logs_own_whatever_our_wall_clock_says() -> None:
    scene = Scene()
    assert scene.peers.log_now_ms() is None
    scene.beat("me#1")
    scene.clock.advance(5)
    assert scene.peers.log_now_ms() == scene.clock.unix_ms() + HOUR_MS


def test_a_record_that_was_heard_late_makes_nothing_older_than_it_is() -> None:
    scene = Scene()
    sign = Sign(kind=SignKind.HEARTBEAT, process="me#1", role="executor", at_ms=0)
    scene.transport.put(INSTANCES.name, 0, sign.key, sign.encode())
    scene.clock.advance(60)
    scene.peers.follow()
    now_ms = scene.peers.log_now_ms()
    assert now_ms is not None
    assert now_ms <= scene.clock.unix_ms() + HOUR_MS
    scene.beat("me#1")
    assert scene.peers.log_now_ms() == scene.clock.unix_ms() + HOUR_MS


def test_another_executor_that_claims_and_has_a_free_slot_has_room_until_it_is_silent() -> None:
    scene = Scene()
    scene.beat("me#1")
    scene.beat("r#1", role="recovery")
    scene.beat("full#1", room=False)
    scene.beat("draining#1", serving=False)
    assert not scene.peers.have_room()
    scene.beat("free#1")
    assert scene.peers.have_room()
    scene.clock.advance(DECLARE_AFTER_SEC + 1)
    assert not scene.peers.have_room()


def test_one_that_has_become_full_or_departed_has_no_room() -> None:
    scene = Scene()
    scene.beat("other#1")
    scene.beat("other#1", room=False)
    assert not scene.peers.have_room()
    scene.beat("other#1")
    scene.transport.put(INSTANCES.name, 0, b"heartbeat other#1", None)
    scene.peers.follow()
    assert not scene.peers.have_room()


def test_an_outage_is_waited_out() -> None:
    scene = Scene()
    scene.transport.failures["read"] = TransportUnavailable()
    scene.peers.follow()
    scene.transport.failures = {"bounds": TransportUnavailable()}
    scene.clock.advance(RETRY_SEC)
    scene.peers.follow()
    scene.transport.failures.clear()
    scene.clock.advance(RETRY_SEC)
    scene.peers.follow()
    scene.beat("other#1")
    assert scene.peers.have_room()
    scene.peers.close()
    assert all(each.closed for each in scene.transport.readers)


def test_what_others_run_of_a_queue_partition_is_known_until_they_say_otherwise_depart_or_fall_silent() -> None:
    scene = Scene()
    scene.runs("a#1", {"q/0": 2, "q/1": 1})
    scene.runs("b#1", {"q/0": 1})
    scene.runs("me#1", {"q/0": 9})
    assert [scene.peers.held(queue) for queue in ("q/0", "q/1", "q/2")] == [3, 1, 0]
    scene.runs("a#1", {"q/1": 1})
    assert scene.peers.held("q/0") == 1
    scene.transport.put(INSTANCES.name, 0, b"heartbeat b#1", None)
    scene.peers.follow()
    assert (scene.peers.held("q/0"), scene.peers.held("q/1")) == (0, 1)
    scene.clock.advance(SILENT_SEC + 0.1)
    scene.peers.follow()
    assert scene.peers.held("q/1") == 0


def test_who_begins_knows_what_was_said_before_and_how_long_ago() -> None:
    scene = Scene()
    scene.runs("old#1", {"q/0": 1})
    scene.clock.advance(SILENT_SEC + 0.1)
    scene.runs("new#1", {"q/0": 2})
    later = Peers(scene.transport, scene.clock, "later#1")
    assert not later.caught_up
    later.follow()
    assert later.caught_up
    assert later.held("q/0") == 2
