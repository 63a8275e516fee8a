"""The membership of an executor over a scripted consumer: what it claims, drops, reads back and gives up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.core.claims import STAMP_HEADER, CommitTag, Stamp, Vector
from processor.core.clock import ManualClock
from processor.core.inflight import Intent, opened_key
from processor.core.ledger import Position
from processor.core.request_id import request_id
from processor.executor.books import RETRY_AFTER_SEC, Books
from processor.executor.claims import Claims
from processor.executor.dedup import WindowPolicy
from processor.executor.renewals import RENEW_EVERY_SEC, RENEW_FIRST_SEC
from processor.transport.abstract import (
    Committed,
    Outcome,
    TopicPartition,
    TransportError,
    TransportUnavailable,
)
from tests.unit.scripted_transport import ScriptedConsumer, ScriptedTransport

TOPIC = "queue.f.1"
ZERO = TopicPartition(TOPIC, 0)
ONE = TopicPartition(TOPIC, 1)
EXECUTOR = "e#1"


class Member:
    def __init__(
        self,
        transport: ScriptedTransport | None = None,
        clock: ManualClock | None = None,
        policy: WindowPolicy | None = None,
    ) -> None:
        self.transport = transport or ScriptedTransport(**{TOPIC: 2})
        self.clock = clock or ManualClock()
        self.books = Books(self.transport, self.clock)
        self.functions: dict[str, str] = {TOPIC: "f"}
        self.claims = Claims(
            transport=self.transport,
            books=self.books,
            clock=self.clock,
            executor=EXECUTOR,
            function_of=self.functions.get,
            inflight_partitions=1,
            policy=policy or WindowPolicy(),
        )
        self.claims.serve([TOPIC])

    @property
    def consumer(self) -> ScriptedConsumer:
        return self.transport.consumers[-1]

    def queue(self, *numbers: int, partition: TopicPartition = ZERO) -> None:
        """Events as one dispatcher session sends them: each names the one before."""
        for number in numbers:
            before = None if number == 0 else (0, number - 1)
            stamp = Stamp("f", "v", "id", Position(partition.partition, 0, number), before, "data", 0)
            header = (STAMP_HEADER, stamp.encode())
            self.transport.put(TOPIC, partition.partition, run(number).encode(), b"{}", (header,))

    def own(self, *partitions: TopicPartition) -> None:
        self.consumer.will("assign", *partitions)
        self.claims.poll(0.0)

    def claim(self, limit: int = 100) -> list[str]:
        return [each.request_id for each in self.claims.claim({"f": limit})]

    def open_intents(self) -> list[str]:
        self.books.flush(1.0)
        left: dict[bytes | None, bytes] = {}
        for record in self.transport.records("inflight"):
            if record.value is None:
                left.pop(record.key, None)
            else:
                left[record.key] = record.value
        return [Intent.decode(each).request_id for each in left.values()]


def run(number: int) -> str:
    return request_id("f", "s", str(number))


def committed_by(executor: str, offset: int, vector: Vector, batch: int = 7) -> Committed:
    return Committed(offset, CommitTag(executor=executor, batch=batch, vector=vector).encode())


def test_the_first_owner_ever_commits_zero_and_says_so_before_it_claims() -> None:
    member = Member()
    member.queue(0, 1)
    member.own(ZERO)
    first = member.consumer.asked[0][ZERO]
    assert (first.offset, CommitTag.decode(first.metadata).batch) == (0, 0)
    assert member.claim() == [run(0), run(1)]
    assert [each.key for each in member.transport.records("queues")] == [opened_key(TOPIC, 0)]
    assert member.transport.offsets[ZERO].offset == 2


def test_the_next_owner_goes_on_where_the_last_commit_says() -> None:
    member = Member()
    member.queue(0, 1, 2)
    member.transport.offsets[ZERO] = committed_by("other#1", 2, Vector("id", {0: (0, 1)}))
    member.own(ZERO)
    assert member.claim() == [run(2)]


def test_a_missing_offset_of_an_opened_partition_stops_it_and_no_other() -> None:
    member = Member()
    member.transport.put("queues", 0, opened_key(TOPIC, 0), b"other#1")
    member.queue(0)
    member.queue(0, partition=ONE)
    member.own(ZERO, ONE)
    assert len(member.claim()) == 1
    assert member.claims.counts.stopped_partitions == {f"{TOPIC}/0"}
    assert ZERO not in member.transport.offsets


def test_foreign_commit_metadata_stops_the_partition() -> None:
    member = Member()
    member.queue(0)
    member.transport.offsets[ZERO] = Committed(0, "by hand")
    member.own(ZERO)
    assert member.claim() == []
    assert member.claims.counts.stopped_partitions == {f"{TOPIC}/0"}


def test_a_first_commit_that_is_unknown_is_not_repeated_but_given_back() -> None:
    member = Member()
    member.queue(0)
    member.consumer.commits.append(Outcome.UNKNOWN)
    member.own(ZERO)
    assert member.claims.must_rejoin
    member.claims.poll(0.0)
    assert len(member.consumer.asked) == 1, "by now the partition may be somebody else's"
    assert member.claim() == []
    member.claims.leave()
    member.claims.serve([TOPIC])
    member.own(ZERO)
    assert member.claim() == [run(0)]


def test_a_refused_claim_drops_its_intents_and_is_made_again_while_the_partition_stays() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.consumer.commits.append(Outcome.NO)
    assert member.claim() == []
    assert (member.open_intents(), member.claims.counts.refused) == ([], 1)
    # A refusal in the middle of a cooperative rebalance says nothing about ownership: no callback follows it.
    member.claims.poll(0.0)
    assert member.claim() == [run(0)]
    assert member.open_intents() == [run(0)]


def test_a_refused_claim_of_a_partition_that_is_lost_then_is_nobodys_here() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.consumer.commits.append(Outcome.NO)
    member.claim()
    member.consumer.will("lose", ZERO)
    member.claims.poll(0.0)
    assert member.claim() == []
    assert member.open_intents() == []


def test_one_request_may_be_applied_for_one_partition_and_refused_for_another() -> None:
    member = Member()
    member.queue(0)
    member.queue(0, 1, partition=ONE)
    member.own(ZERO, ONE)
    member.consumer.commits.append({ZERO: Outcome.NO, ONE: Outcome.YES})
    assert member.claim() == [run(0), run(1)]


def test_an_unknown_commit_is_ours_once_our_batch_is_read_back() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.consumer.commits.append(Outcome.UNKNOWN)
    assert member.claim() == []
    assert not member.claims.settled
    member.transport.offsets[ZERO] = member.consumer.asked[-1][ZERO]
    assert [each.request_id for each in member.claims.settle()] == [run(0)]
    assert (member.claims.settled, member.claims.undecided) == (True, False)
    assert member.claim() == [], "it is not claimed again"


def test_an_unknown_commit_stays_open_while_it_cannot_be_read_back() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.consumer.commits.append(Outcome.UNKNOWN)
    member.claim()
    member.transport.failures["committed"] = TransportUnavailable()
    assert member.claims.settle() == []
    assert (member.claims.settled, member.claims.undecided) == (False, False)


def test_an_unknown_commit_of_which_something_else_is_read_back_is_undecided_and_its_intents_stay() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.consumer.commits.append(Outcome.UNKNOWN)
    member.claim()
    assert member.claims.settle() == []
    assert (member.claims.settled, member.claims.undecided) == (True, True)
    assert member.open_intents() == [run(0)], "recovery decides by them"
    last = Intent.decode(member.transport.records("inflight")[-1].value or b"")
    assert (last.abandoned, last.batch) == (True, 1), "also while its executor lives"


def test_records_dropped_on_revoke_are_never_claimed_afterwards() -> None:
    member = Member()
    member.queue(0, 1)
    member.own(ZERO)
    member.consumer.will("revoke", ZERO)
    member.claims.poll(0.0)
    assert member.claim() == []
    assert member.claims.waiting() == {}


def test_nothing_is_claimed_when_its_intents_are_not_on_the_log_and_they_are_taken_back() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    commits = len(member.consumer.asked)
    member.transport.flushes.append(Outcome.UNKNOWN)
    assert member.claim() == []
    assert len(member.consumer.asked) == commits
    member.clock.advance(RETRY_AFTER_SEC)
    assert member.open_intents() == []
    assert member.claim() == [run(0)]


def test_intents_that_are_late_are_waited_for_and_then_committed() -> None:
    member = Member()
    member.queue(0, 1)
    member.own(ZERO)
    member.transport.late = 2
    assert member.claim() == []
    assert (member.claims.settled, len(member.consumer.asked)) == (False, 1), "no poll, no other claim before that"
    assert member.claim() == []
    assert member.claims.settle() == []
    assert [each.request_id for each in member.claims.settle()] == [run(0), run(1)]
    assert member.claims.settled
    assert [each.value is None for each in member.transport.records("inflight")] == [False, False], "each written once"


def test_who_leaves_while_its_intents_are_late_takes_them_back() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.transport.late = 1
    member.claim()
    member.claims.leave()
    assert member.claims.settled
    assert member.open_intents() == []


def test_intents_that_were_late_and_then_failed_are_taken_back_and_written_again() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.transport.late = 1
    member.claim()
    member.transport.producers[0].fail(Outcome.UNKNOWN)
    assert member.claims.settle() == []
    assert member.claims.settled
    member.clock.advance(RETRY_AFTER_SEC)
    assert member.open_intents() == []
    assert member.claim() == [run(0)]


def test_a_wall_clock_that_is_an_hour_ahead_or_behind_does_not_shorten_the_window() -> None:
    for unix_ms in (1, 10**15):
        assert member_with_backlog(unix_ms).claim() == [run(12)], "what came again is known, ten records later"


def member_with_backlog(unix_ms: int) -> Member:
    """Twelve records were claimed, of which the last ten minutes hold all and the least to be kept is four."""
    policy = WindowPolicy(span_ms=600_000, at_least_records=4, at_most_records=100)
    member = Member(clock=ManualClock(unix_ms=unix_ms), policy=policy)
    member.queue(*range(12))
    again = Stamp("f", "v", "id", Position(0, 0, 12), (0, 11), "data", 0)
    member.transport.put(TOPIC, 0, run(1).encode(), b"{}", ((STAMP_HEADER, again.encode()),))
    one_more = Stamp("f", "v", "id", Position(0, 0, 13), (0, 12), "data", 0)
    member.transport.put(TOPIC, 0, run(12).encode(), b"{}", ((STAMP_HEADER, one_more.encode()),))
    member.transport.offsets[ZERO] = committed_by("other#1", 12, Vector("id", {0: (0, 11)}))
    member.own(ZERO)
    return member


def test_the_window_ends_where_the_last_owner_got_to_not_at_the_end_of_its_backlog() -> None:
    """The records beyond were written an hour later, which would leave four of the twelve before them."""
    hour = WindowPolicy(span_ms=600_000, at_least_records=4, at_most_records=100)
    member = Member(policy=hour)
    member.transport.timestamp_ms = lambda offset: 1_000 * offset + (3_600_000 if offset > 12 else 0)
    member.queue(*range(12))
    again = Stamp("f", "v", "id", Position(0, 0, 12), (0, 11), "data", 0)
    member.transport.put(TOPIC, 0, run(1).encode(), b"{}", ((STAMP_HEADER, again.encode()),))
    member.queue(13)
    member.transport.offsets[ZERO] = committed_by("other#1", 12, Vector("id", {0: (0, 11)}))
    member.own(ZERO)
    assert member.claims.waiting() == {"f": 2}
    member.claim()
    assert member.claims.counts.upstream_repeats == 1


def test_of_a_window_that_reaches_further_back_than_its_span_only_the_least_is_read() -> None:
    member = Member(policy=WindowPolicy(span_ms=2_000, at_least_records=4, at_most_records=100))
    member.transport.timestamp_ms = lambda offset: 60_000 * offset
    member.queue(*range(12))
    member.transport.offsets[ZERO] = committed_by("other#1", 12, Vector("id", {0: (0, 11)}))
    member.own(ZERO)
    assert member.consumer.began[ZERO] == 8


def test_an_outage_does_not_pile_up_intents() -> None:
    member = Member()
    member.queue(*range(10))
    member.own(ZERO)
    member.transport.flushes.append(Outcome.UNKNOWN)
    for _ in range(1_000):
        assert member.claim() == []
    member.clock.advance(RETRY_AFTER_SEC)
    member.books.flush(1.0)
    assert len(member.transport.records("inflight")) <= 20


def test_an_assignment_that_cannot_be_taken_over_is_given_back() -> None:
    member = Member()
    member.queue(0)
    member.transport.failures["committed"] = TransportUnavailable()
    member.own(ZERO)
    assert member.claims.must_rejoin
    assert member.claim() == []
    del member.transport.failures["committed"]
    member.claims.leave()
    assert not member.claims.must_rejoin
    member.claims.serve([TOPIC])
    member.own(ZERO)
    assert member.claim() == [run(0)]


def test_the_queue_of_a_function_that_is_gone_is_left_alone() -> None:
    member = Member()
    member.functions.clear()
    member.queue(0)
    member.own(ZERO)
    assert member.claim() == []
    assert ZERO not in member.transport.offsets


@pytest.mark.parametrize("call", ["subscribe", "leave"])
def test_a_member_that_is_beyond_repair_says_so_and_raises_nothing(call: str) -> None:
    member = Member()
    member.transport.failures[call] = TransportError()
    member.claims.leave()
    member.claims.serve([TOPIC])
    assert member.claims.broken


def test_a_vector_that_does_not_fit_stops_its_partition_and_no_other() -> None:
    member = Member()
    crowded = Vector("id", dict.fromkeys(range(250), (0, 5)))
    member.transport.offsets[ZERO] = Committed(0, f"1 other#1 3 {crowded.encode()}")
    member.queue(6)
    member.queue(0, partition=ONE)
    member.own(ZERO, ONE)
    assert len(member.claim()) == 1
    assert member.claims.counts.stopped_partitions == {f"{TOPIC}/0"}


def test_a_record_whose_key_is_no_request_id_is_passed_over() -> None:
    member = Member()
    stamp = Stamp("f", "v", "id", Position(0, 0, 0), None, "data", 0)
    member.transport.put(TOPIC, 0, b"\xff not one", b"{}", ((STAMP_HEADER, stamp.encode()),))
    member.queue(0)
    member.own(ZERO)
    assert member.claim() == [run(0)]
    assert member.claims.counts.undecodable == 1


def test_waiting_counts_what_could_be_claimed_per_function() -> None:
    member = Member()
    member.queue(0, 1)
    member.own(ZERO)
    assert member.claims.waiting() == {"f": 2}
    assert member.claims.queues_of("f") == ["queue.f.1/0"]


def test_where_nothing_was_claimed_for_a_day_the_offset_is_committed_again_with_its_vector() -> None:
    member = Member()
    member.queue(0, 1)
    member.own(ZERO)
    member.claim()
    before = member.transport.offsets[ZERO]
    member.clock.advance(RENEW_EVERY_SEC - 1)
    member.claims.renew()
    assert member.transport.offsets[ZERO] == before
    member.clock.advance(1)
    member.claims.renew()
    renewed, tag = member.transport.offsets[ZERO], CommitTag.decode(before.metadata)
    assert renewed.offset == before.offset
    assert CommitTag.decode(renewed.metadata) == replace(tag, batch=tag.batch + 1), "told from the one before"
    member.claims.renew()
    assert member.transport.offsets[ZERO] == renewed, "once a day"


def test_an_offset_that_was_taken_over_is_committed_again_soon_also_where_owners_change_every_hour() -> None:
    member = Member()
    tag = CommitTag(executor="e#0", batch=7, vector=Vector("id", {0: (0, 4)}))
    member.transport.offsets[ZERO] = Committed(5, tag.encode())
    member.queue(*range(5))
    member.own(ZERO)
    member.claims.poll(0.0)
    member.clock.advance(RENEW_FIRST_SEC)
    member.claims.renew()
    renewed = member.transport.offsets[ZERO]
    assert (renewed.offset, CommitTag.decode(renewed.metadata).vector) == (5, tag.vector)
    assert CommitTag.decode(renewed.metadata).executor == EXECUTOR


def test_what_is_not_ours_any_more_is_not_committed_again() -> None:
    member = Member()
    member.own(ZERO, ONE)
    member.consumer.will("revoke", ZERO)
    member.claims.poll(0.0)
    before = dict(member.transport.offsets)
    member.clock.advance(RENEW_EVERY_SEC)
    member.claims.renew()
    assert member.transport.offsets[ZERO] == before[ZERO]
    assert member.transport.offsets[ONE] != before[ONE]


def test_a_renewal_that_may_still_land_is_read_back_and_ends_the_membership_when_it_did_not() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.claim()
    member.clock.advance(RENEW_EVERY_SEC)
    member.consumer.commits.append(Outcome.UNKNOWN)
    member.claims.renew()
    assert not member.claims.settled
    assert member.claim() == []
    assert member.claims.settle() == []
    assert member.claims.undecided, "it could land after the partition has gone to somebody else"
    assert member.claims.settled
    assert len(member.transport.records("inflight")) == 1, "nothing was claimed, so nothing is left to recovery"


def test_a_refused_renewal_is_tried_again_later_and_keeps_what_waits() -> None:
    member = Member()
    member.queue(0)
    member.own(ZERO)
    member.clock.advance(RENEW_FIRST_SEC)
    member.consumer.commits.append(Outcome.NO)
    member.claims.renew()
    before = member.transport.offsets[ZERO]
    assert member.claim() == [run(0)]
    member.clock.advance(RENEW_FIRST_SEC)
    member.claims.renew()
    assert member.transport.offsets[ZERO].offset == before.offset + 1
