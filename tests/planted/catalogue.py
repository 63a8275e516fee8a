"""Every planted bug: what is wrong, how it gets into the product, and which tests of the suite turn red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.planted import children
from tests.planted.bugs import accepting, claiming, consuming, ending, recovering

_AUDITED = "tests/unit/test_audited_faults.py::test_"
_INSTANCES = "tests/integration/test_instances.py::test_"


#: By the id of the promise, as docs/guarantees.md has them; I7 and what is left running are seen by tests alone.
BROKEN = {
    "I1": "an acknowledged event is lost",
    "I2": "an event gets no verdict",
    "I3": "a run is started twice",
    "I5": "a verdict is not true",
    "I7": "a status goes backwards",
    "I9": "one event has two RequestIds",
    "I13": "something is left running",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Catcher:
    """A test of the suite that fails with the bug and passes without."""

    test: str
    #: Pattern of what pytest prints of the failure: it has failed for this reason and no other.
    says: str
    needs_kafka: bool = False
    slow: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plant:
    name: str
    #: What the product does with it.
    bug: str
    #: Which promise is broken, one of BROKEN.
    invariant: str
    install: Callable[[], None]
    catchers: tuple[Catcher, ...]


PLANTS = (
    Plant(
        name="acknowledge-before-append",
        bug="the answer leaves before the event is on the log",
        invariant="I1",
        install=accepting.acknowledge_before_append,
        catchers=(
            Catcher(
                test=f"{_AUDITED}what_the_log_does_not_take_is_not_acknowledged",
                says="I1 what was acknowledged is on the ledger",
            ),
        ),
    ),
    Plant(
        name="request-id-from-random",
        bug="a RequestId is drawn, not derived from the event",
        invariant="I9",
        install=accepting.request_id_from_random,
        catchers=(
            Catcher(
                test=f"{_AUDITED}an_event_that_is_sent_again_keeps_its_request_id", says="I9 one key has one RequestId"
            ),
        ),
    ),
    Plant(
        name="commit-after-start",
        bug="a run is started first, its claim is committed afterwards",
        invariant="I3",
        install=claiming.commit_after_start,
        catchers=(
            Catcher(
                test=f"{_AUDITED}what_an_executor_killed_amid_its_run_had_started_is_started_by_no_other",
                says="I3 nothing was started twice",
            ),
        ),
    ),
    Plant(
        name="commit-not-checked",
        bug="a claim whose commit was refused is started all the same",
        invariant="I3",
        install=claiming.commit_not_checked,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_claim_that_is_refused_is_started_by_its_new_owner_only",
                says="I3 nothing was started twice",
            ),
        ),
    ),
    Plant(
        name="buffers-kept-over-a-revoke",
        bug="what was buffered of a partition is claimed after it has moved",
        invariant="I3",
        install=claiming.buffers_kept_over_a_revoke,
        catchers=(
            Catcher(
                test=f"{_AUDITED}what_is_buffered_when_a_partition_moves_is_started_by_its_new_owner_only",
                says="I3 nothing was started twice",
            ),
            Catcher(
                test="tests/integration/test_woken_executor.py::"
                "test_what_a_sleeper_had_buffered_is_started_by_its_heir_only",
                says="I3 nothing was started twice",
                needs_kafka=True,
                slow=True,
            ),
        ),
    ),
    Plant(
        name="vector-not-carried",
        bug="a new owner does not know what of the intake the last one had taken",
        invariant="I3",
        install=claiming.vector_not_carried,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_dispatchers_repeat_after_a_takeover_is_not_started_again_however_late_it_comes",
                says="I3 nothing was started twice",
            ),
        ),
    ),
    Plant(
        name="previous-offset-ignored",
        bug="a record is taken although the one before it is missing",
        invariant="I2",
        install=claiming.previous_offset_ignored,
        catchers=(
            Catcher(
                test=f"{_AUDITED}what_a_dispatchers_failed_session_had_left_out_is_started_once_it_comes",
                says="I2 every delivery has its verdict",
            ),
            Catcher(
                test="tests/integration/test_pipeline.py::"
                "test_what_a_zombie_dispatcher_sends_after_a_hole_is_not_taken[embedded]",
                says="no verdict",
                slow=True,
            ),
        ),
    ),
    Plant(
        name="window-not-rebuilt",
        bug="a new owner does not know which RequestIds stood in the queue lately",
        invariant="I3",
        install=claiming.window_not_rebuilt,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_repeat_of_upstream_after_a_takeover_is_not_started_again_within_the_window",
                says="I3 nothing was started twice",
            ),
        ),
    ),
    Plant(
        name="recovery-reads-inflight-first",
        bug="recovery reads who holds a delivery before it reads the commits",
        invariant="I5",
        install=recovering.recovery_reads_inflight_first,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_claim_that_lands_while_recovery_looks_is_left_to_its_executor",
                says="I5 FINISHED means that",
            ),
        ),
    ),
    Plant(
        name="last-verdict-wins",
        bug="a later verdict takes the place of the first",
        invariant="I7",
        install=recovering.last_verdict_wins,
        catchers=(
            Catcher(
                test="tests/unit/test_recorder_fold.py::test_the_first_verdict_stays_and_the_second_is_void",
                says="Status.FINISHED",
            ),
        ),
    ),
    Plant(
        name="life-signs-on-the-wall-clock",
        bug="leases and deadlines are measured on a clock that is set",
        invariant="I5",
        install=recovering.life_signs_on_the_wall_clock,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_step_of_the_wall_clock_ends_no_run_and_declares_nobody_dead",
                says="I5: lost means that its executor was",
            ),
        ),
    ),
    Plant(
        name="auto-commit-on",
        bug="the client commits what was polled, claimed or not",
        invariant="I2",
        install=consuming.auto_commit_on,
        catchers=(
            Catcher(
                test="tests/contract/test_fence.py::"
                "test_what_was_polled_and_not_claimed_is_committed_by_nobody[kafka-consumer]",
                says="I2: ",
                needs_kafka=True,
            ),
        ),
    ),
    Plant(
        name="only-the-leader-is-killed",
        bug="of an instance only its first process is killed, not what that had started",
        invariant="I13",
        install=ending.only_the_leader_is_killed,
        catchers=(
            Catcher(test=f"{_INSTANCES}no_child_of_a_child_survives_an_exceptional_end[exit]", says=r"= processes\(\)"),
        ),
    ),
    Plant(
        name="late-frame-accepted-after-timeout",
        bug="an answer that comes after the time limit becomes the verdict",
        invariant="I5",
        install=ending.late_frame_accepted_after_timeout,
        catchers=(
            Catcher(
                test=f"{_INSTANCES}an_answer_after_the_time_limit_changes_nothing_but_its_lines_are_kept",
                says="StatusCode.TIME_LIMIT",
            ),
        ),
    ),
    Plant(
        name="verdict-dropped-on-enospc",
        bug="what the log refuses for want of room is not written again",
        invariant="I2",
        install=ending.verdict_dropped_on_enospc,
        catchers=(
            Catcher(
                test=f"{_AUDITED}a_verdict_that_is_refused_for_want_of_room_is_written_once_there_is_some",
                says="I2 every delivery has its verdict",
            ),
            Catcher(
                test="tests/acceptance/test_full_disk.py::"
                "test_a_full_disk_is_told_with_503_and_every_acknowledged_event_ends_once_there_is_room",
                says="'status': 'RUNNING'",
                slow=True,
            ),
        ),
    ),
)


def find(name: str) -> Plant:
    return next(each for each in PLANTS if each.name == name)


def plant(name: str) -> None:
    """In this process and in those that it starts, until it ends."""
    find(name).install()
    children.inherit(name)
