from __future__ import annotations

from processor.core.clock import ManualClock
from processor.executor.books import RETRY_AFTER_SEC, Books, Entry
from processor.transport.abstract import Outcome
from tests.unit.scripted_transport import ScriptedTransport


class Desk:
    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.clock = ManualClock()
        self.confirmations = 0
        self.books = Books(self.transport, self.clock, when_confirmed=self._count)

    def _count(self) -> None:
        self.confirmations += 1

    def write(self, value: bytes, *, afterwards: bytes | None = None, instead: bytes | None = None) -> None:
        later = None if afterwards is None else Entry("inflight", None, afterwards, 0)
        self.books.write_in_bulk("runs", value, key=b"k", partition=0, afterwards=later, instead=instead)

    def flush(self) -> bool:
        return self.books.flush(1.0)

    def wait(self) -> None:
        self.clock.advance(RETRY_AFTER_SEC)

    def runs(self) -> list[bytes | None]:
        return [each.value for each in self.transport.records("runs")]

    def tombstones(self) -> list[bytes | None]:
        return [each.key for each in self.transport.records("inflight")]


def test_entries_land_in_the_order_they_were_written() -> None:
    desk = Desk()
    for each in (b"1", b"2", b"3"):
        desk.write(each)
    assert desk.runs() == [], "nothing is sent before a flush"
    assert desk.flush()
    assert (desk.runs(), desk.books.empty, desk.confirmations) == ([b"1", b"2", b"3"], True, 1)


def test_what_a_failed_session_held_is_repeated_in_order_by_a_new_one() -> None:
    desk = Desk()
    desk.transport.flushes.append(Outcome.UNKNOWN)
    desk.write(b"1")
    assert not desk.flush()
    assert desk.transport.producers[0].closed
    desk.write(b"2")
    assert not desk.flush(), "a broker gets a moment before the next session"
    assert (desk.books.empty, desk.confirmations) == (False, 0)
    desk.wait()
    assert desk.flush()
    assert desk.runs() == [b"1", b"2"]


def test_a_tombstone_is_written_only_after_its_verdict_is_durable() -> None:
    desk = Desk()
    desk.transport.flushes.append(Outcome.UNKNOWN)
    desk.write(b"verdict", afterwards=b"intent")
    desk.flush()
    desk.wait()
    assert desk.flush()
    assert (desk.runs(), desk.tombstones()) == ([b"verdict"], [])
    assert not desk.books.empty
    assert desk.flush()
    assert (desk.tombstones(), desk.books.empty) == ([b"intent"], True)


def test_an_urgent_flush_leaves_the_bulk_to_the_next_full_one() -> None:
    desk = Desk()
    desk.write(b"started")
    desk.books.write("inflight", b"intent", key=b"k", partition=0)
    assert desk.books.flush_urgent(1.0)
    assert (desk.tombstones(), desk.runs(), desk.confirmations) == ([b"k"], [], 1)
    assert not desk.books.empty
    assert desk.flush()
    assert (desk.runs(), desk.books.empty) == ([b"started"], True)


def test_a_failed_urgent_flush_repeats_both_lanes_in_order() -> None:
    desk = Desk()
    desk.transport.flushes.append(Outcome.UNKNOWN)
    desk.books.write("inflight", b"intent", key=b"k", partition=0)
    desk.write(b"ended", afterwards=b"k")
    assert not desk.books.flush_urgent(1.0)
    desk.books.write("inflight", None, key=b"k", partition=0)
    desk.wait()
    assert desk.flush()
    assert [each.value for each in desk.transport.records("inflight")] == [b"intent", None]
    assert desk.runs() == [b"ended"]


def test_more_than_the_session_can_hold_goes_in_several_parts() -> None:
    desk = Desk()
    desk.transport.buffer_records = 2
    values = [str(number).encode() for number in range(5)]
    for each in values:
        desk.write(each)
    assert desk.flush()
    assert desk.runs() == values


def test_a_record_that_no_topic_takes_holds_up_neither_the_loop_nor_the_rest() -> None:
    desk = Desk()
    desk.transport.max_bytes = 10
    desk.write(b"1")
    desk.write(b"x" * 100, afterwards=b"intent of it")
    desk.write(b"2", afterwards=b"intent")
    assert desk.flush()
    assert desk.flush()
    assert desk.runs() == [b"1", b"2"]
    assert desk.books.dropped == 1
    assert desk.books.empty


def test_what_the_topic_does_not_take_for_its_size_is_written_shorter_and_its_tombstone_follows() -> None:
    desk = Desk()
    desk.transport.max_bytes = 10
    desk.write(b"x" * 100, afterwards=b"intent", instead=b"short")
    assert desk.flush()
    assert desk.flush()
    assert (desk.runs(), desk.tombstones(), desk.books.dropped) == ([b"short"], [b"intent"], 0)


def test_a_log_that_takes_less_than_it_should_costs_the_largest_record_its_text_and_holds_up_none() -> None:
    desk = Desk()
    desk.transport.log_takes_bytes = 50
    values = [b"1", b"x" * 60, b"y" * 100, b"z" * 40]
    for each in values:
        desk.write(each, afterwards=each[:1], instead=each[:2])
    for _ in range(2):
        assert not desk.flush()
        desk.wait()
    assert desk.flush()
    assert desk.runs() == [b"1", b"xx", b"yy", b"z" * 40]
    assert desk.flush()
    assert desk.tombstones() == [b"1", b"x", b"y", b"z"]


def test_a_flush_that_is_too_short_for_a_slow_log_is_gone_on_with_and_nothing_is_sent_twice() -> None:
    desk = Desk()
    desk.transport.late = 3
    desk.write(b"verdict", afterwards=b"intent")
    assert [desk.flush() for _ in range(3)] == [False] * 3
    assert (desk.books.late, desk.books.writable, desk.runs()) == (True, False, [])
    assert desk.flush()
    assert (desk.books.late, desk.books.writable, desk.runs()) == (False, True, [b"verdict"])
    assert desk.flush()
    assert desk.tombstones() == [b"intent"]
    assert len(desk.transport.producers) == 1, "the session was never given up"


def test_what_is_written_while_the_log_is_slow_waits_for_what_is_on_its_way_so_that_there_is_an_end() -> None:
    desk = Desk()
    desk.transport.late = 1
    desk.write(b"1")
    desk.flush()
    desk.write(b"2")
    desk.books.write("inflight", b"intent", key=b"k", partition=0)
    desk.transport.late = 1
    assert not desk.books.flush_urgent(1.0)
    assert (desk.runs(), desk.confirmations) == ([], 0), "still the first one"
    assert desk.books.flush_urgent(1.0)
    assert (desk.runs(), desk.tombstones(), desk.confirmations) == ([b"1"], [b"k"], 1)
    assert desk.flush()
    assert desk.runs() == [b"1", b"2"]


def test_a_session_that_fails_after_all_while_it_was_waited_for_is_repeated() -> None:
    desk = Desk()
    desk.transport.late = 1
    desk.write(b"1")
    desk.flush()
    desk.transport.producers[0].fail(Outcome.UNKNOWN)
    assert not desk.flush()
    assert not desk.books.late
    desk.wait()
    assert desk.flush()
    assert desk.runs() == [b"1"]


def test_books_are_not_writable_from_a_failure_until_the_next_good_flush() -> None:
    desk = Desk()
    assert desk.books.writable
    desk.transport.flushes.append(Outcome.NO)
    desk.write(b"1")
    desk.flush()
    assert not desk.books.writable
    desk.wait()
    assert not desk.books.writable
    desk.flush()
    assert desk.books.writable
