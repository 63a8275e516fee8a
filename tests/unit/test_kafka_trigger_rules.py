"""The pure rules of the Kafka adapter: notes in commits, where to begin, where batches are cut, whose group it is."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.core.topics import MAX_EVENT_BYTES
from triggers.abstract import Binding
from triggers.kafka.abstract import SourceRecord
from triggers.kafka.errors import NoBrokerNamed, SecurityFilesUnusable
from triggers.kafka.note import MOST_CUTS, Cut, Note, Place, Resolve, note_of, places
from triggers.kafka.security import client_options
from triggers.kafka.settings import Cluster, Start, source_settings
from triggers.kafka.shapes import PlainShape
from triggers.kafka.steps import Batches, BatchRule, Step
from triggers.secrets import SecretMissing

METADATA_LIMIT_BYTES = 4_095


def record(offset: int, value: bytes = b"1") -> SourceRecord:
    return SourceRecord("c", "t", 0, offset, 1_000_000 + offset, None, value)


def test_a_note_comes_back_and_a_full_one_fits_into_a_commit() -> None:
    note = Note(partitions=8, cuts=(Cut(110, "1a2b"), Cut(120, "-1")))
    assert note_of(note.text()) == note
    assert note_of(Note(partitions=3).text()) == Note(partitions=3)
    full = Note(partitions=10**6, cuts=tuple(Cut(2**63 - each, f"{2**43:x}") for each in range(MOST_CUTS + 5)))
    assert len(full.text()) <= METADATA_LIMIT_BYTES
    assert len(note_of(full.text()).cuts) == MOST_CUTS


@pytest.mark.parametrize("text", ["", "from somewhere else", "n=x", "n=3;cuts=9", "cuts=1:2", "\0"])
def test_metadata_that_is_not_ours_says_nothing(text: str) -> None:
    assert note_of(text) == Note()


def test_a_new_group_begins_where_start_says_and_remembers_how_many_partitions_there_were() -> None:
    found = places({}, frozenset({0, 1}), 4)
    assert found == dict.fromkeys((0, 1), Place(resolve=Resolve.START, note=Note(partitions=4)))


def test_a_partition_that_came_later_is_read_from_its_first_record() -> None:
    found = places({0: (17, "n=4")}, frozenset({0, 3, 4}), 5)
    assert found[0] == Place(offset=17, note=Note(partitions=4))
    assert found[3].resolve is Resolve.START  # there from the beginning, and nobody has read it yet
    assert found[4].resolve is Resolve.LOW


def test_what_is_in_a_topic_that_was_waited_for_is_read_whole_by_every_replica() -> None:
    assert places({}, frozenset({0}), 0)[0] == Place(resolve=Resolve.LOW, note=Note(partitions=0))
    assert places({0: (3, "n=0")}, frozenset({1}), 2)[1] == Place(resolve=Resolve.LOW, note=Note(partitions=0))
    assert places({0: (3, "from elsewhere")}, frozenset({1}), 2)[1].resolve is Resolve.START


def test_cuts_of_an_earlier_owner_come_along() -> None:
    assert places({0: (5, "n=1;cuts=9:a")}, frozenset({0}), 1)[0].note.cuts == (Cut(9, "a"),)


def batches(most: int, begin: int = 0, cuts: Sequence[Cut] = ()) -> Batches:
    return Batches(BatchRule(shape=PlainShape("auto"), max_records=most, max_wait_sec=10.0), 0, begin, cuts)


def cut_of(steps: Sequence[Step]) -> list[tuple[str, list[int]]]:
    return [(event.id, [each.offset for each in step.records]) for step in steps for event in step.events]


def test_a_batch_waits_for_its_time_and_then_is_named_after_the_offsets_it_covers() -> None:
    stepper = batches(10, begin=3)
    assert stepper.take([record(3), record(7)], now_sec=100.0) == []
    assert stepper.due_at_sec == 110.0
    assert stepper.due(8, 109.9) == []
    (step,) = stepper.due(8, 110.0)
    assert (step.next_offset, step.cut) == (8, Cut(8, f"{1_000_003:x}"))
    assert cut_of([step]) == [(f"0-3-7-{1_000_003:x}", [3, 7])]
    assert not stepper.waits


def test_a_batch_grows_no_larger_than_an_event() -> None:
    value = orjson.dumps("x" * 300_000)
    steps = batches(100).take([record(each, value) for each in range(7)], 0.0)
    assert [len(step.records) for step in steps] == [3, 3]
    assert all(len(step.events[0].data or b"") <= MAX_EVENT_BYTES for step in steps)


def test_a_record_that_alone_is_too_large_is_poison_and_ends_its_batch() -> None:
    stepper = batches(9)
    (before, alone) = stepper.take([record(0), record(1, b"x" * MAX_EVENT_BYTES), record(2)], 0.0)
    assert [each.offset for each in before.records] == [0]
    assert ([each.origin for each, _ in alone.poison], alone.events, alone.next_offset) == (["t/0/1"], (), 2)
    assert cut_of(stepper.due(3, 10.0)) == [(f"0-2-2-{1_000_002:x}", [2])]


def test_poison_is_taken_out_of_its_batch() -> None:
    rule = BatchRule(shape=PlainShape("json"), max_records=2, max_wait_sec=1.0)
    (step,) = Batches(rule, 0, 0, ()).take([record(0, b"{"), record(1)], 0.0)
    assert [each.origin for each, _ in step.poison] == ["t/0/0"]
    assert [each["offset"] for each in orjson.loads(step.events[0].data or b"")["records"]] == [1]


def test_a_batch_of_poison_alone_is_no_event_but_moves_on() -> None:
    rule = BatchRule(shape=PlainShape("json"), max_records=2, max_wait_sec=1.0)
    (step,) = Batches(rule, 0, 0, ()).take([record(0, b"{"), record(1, b"}")], 0.0)
    assert (step.events, len(step.poison), step.next_offset) == ((), 2, 2)


def test_a_decided_batch_whose_records_are_gone_is_passed_over() -> None:
    stepper = batches(10, begin=5, cuts=[Cut(8, "a"), Cut(12, "b")])
    steps = stepper.take([record(9), record(20)], 0.0)
    assert [(step.next_offset, len(step.records)) for step in steps] == [(8, 0), (12, 1)]
    assert cut_of(steps) == [("0-8-11-b", [9])]


def test_a_decided_batch_ends_by_position_when_its_last_record_is_gone() -> None:
    stepper = batches(10, cuts=[Cut(5, "a")])
    assert stepper.take([record(0), record(3)], 0.0) == []
    assert stepper.due_at_sec is None  # time does not cut it
    assert stepper.due(4, 1_000.0) == []
    assert cut_of(stepper.due(5, 1_000.0)) == [("0-0-4-a", [0, 3])]


@settings(deadline=None)
@given(
    first=st.lists(st.integers(1, 9), min_size=1, max_size=8),
    done=st.integers(0, 8),
    most=st.integers(1, 7),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_whatever_was_sent_before_a_crash_is_sent_again_the_same(
    first: list[int], done: int, most: int, sizes: list[int]
) -> None:
    """first: how many records each take of the first life got. done: batches it committed. Then another life, with
    another max_records and other takes, reads from the commit.
    """
    sent: list[Step] = []
    life, offset = batches(5), 0
    for size in first:
        sent += life.take([record(each) for each in range(offset, offset + size)], 0.0)
        offset += size
    sent += life.due(offset, 1e9)
    done = min(done, len(sent))
    begin = sent[done - 1].next_offset if done else 0
    cuts = [step.cut for step in sent[done:] if step.cut]
    again = batches(most, begin, cuts)
    found: list[Step] = []
    at = begin
    for size in sizes:
        found += again.take([record(each) for each in range(at, at + size)], 0.0)
        at += size
    found += again.due(at, 1e9)
    repeated = cut_of(sent[done:])
    assert cut_of(found)[: len(repeated)] == repeated[: len(cut_of(found))]
    offsets = [each.offset for step in found for each in step.records]
    assert offsets == list(range(begin, begin + len(offsets)))


HOME = Cluster(bootstrap_servers="home:9092", options={"security_protocol": "SSL"})


def bound(kind: str = "kafka", **settings: object) -> Binding:
    return Binding(function="f", creation=1, kind=kind, settings=settings)


def test_left_out_the_brokers_are_the_installations_own_and_the_group_is_the_functions() -> None:
    found = source_settings(bound(), {"topic": "orders"}, home=HOME, group_prefix="p.")
    assert (found.cluster, found.group, found.start) == (HOME, "p.headrace.f.orders", Start.LATEST)


def test_named_brokers_are_not_given_the_installations_secrets() -> None:
    source = {"topic": "t", "bootstrap_servers": "b:1", "group": "g", "start": "earliest"}
    found = source_settings(bound(), source, home=HOME, group_prefix="p.")
    assert found.cluster == Cluster(bootstrap_servers="b:1")
    assert (found.group, found.start) == ("g", Start.EARLIEST)


def test_two_storage_triggers_of_one_function_on_one_topic_do_not_take_each_others_records() -> None:
    kafka = {"topic": "s3"}
    groups = {
        source_settings(
            bound("storage", bucket="b", suffix=suffix, source={"kafka": kafka}), kafka, home=HOME, group_prefix=""
        ).group
        for suffix in (".jpg", ".png")
    }
    assert len(groups) == 2


@pytest.mark.parametrize("start", ["1769846400000", "2026-01-31T08:00:00Z", "2026-01-31T09:00:00+01:00"])
def test_times_to_start_at(start: str) -> None:
    found = source_settings(bound(), {"topic": "t", "start": start}, home=HOME, group_prefix="")
    assert (found.start, found.start_ms) == (Start.TIME, 1_769_846_400_000)


def test_without_brokers_of_its_own_an_installation_has_to_be_told_some() -> None:
    with pytest.raises(NoBrokerNamed):
        source_settings(bound(), {"topic": "t"}, home=None, group_prefix="")


def test_a_password_comes_out_of_the_environment() -> None:
    security = {
        "protocol": "SASL_SSL",
        "mechanism": "SCRAM-SHA-512",
        "username": "u",
        "password_env": "P",
        "verify_hostname": False,
    }
    options = client_options(security, {"P": "secret"})
    assert options["sasl_plain_password"] == "secret"
    assert options["ssl_context"].check_hostname is False  # type: ignore[attr-defined]  # an SSLContext
    with pytest.raises(SecretMissing) as missing:
        client_options(security, {})
    assert "Set P in the environment" in missing.value.remedy


def test_tls_files_that_are_not_there_are_named() -> None:
    with pytest.raises(SecurityFilesUnusable):
        client_options({"protocol": "SSL", "ca_file": "/nowhere/ca.pem"}, {})
