from __future__ import annotations

from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, encode
from processor.core.run import Delivery, RunError, Status, StatusCode
from processor.recorder.fold import NO_DELIVERY, DeliveryFold, RunFold, run_document

RUN = "2f3b0c52-7d3a-8c11-9a55-0123456789ab"
FIRST = Delivery("queue.thumbnail.1", 2, 7)
SECOND = Delivery("queue.thumbnail.1", 2, 90)


def accepted(at_ms: int = 1_000) -> Accepted:
    return Accepted(
        request_id=RUN,
        function="thumbnail",
        version="v1",
        trigger="http",
        source="headrace:http/thumbnail",
        event_id="e1",
        subject="a.png",
        accepted_at_ms=at_ms,
        intake=Position(0, 0, 1),
    )


def started(delivery: Delivery = FIRST, at_ms: int = 2_000) -> Started:
    return Started(request_id=RUN, function="thumbnail", delivery=delivery, executor="e#1", started_at_ms=at_ms)


def ended(delivery: Delivery | None = FIRST, code: StatusCode = StatusCode.OK, lines: int = 3) -> Ended:
    return Ended(
        request_id=RUN,
        function="thumbnail",
        delivery=delivery,
        status_code=code,
        error=None if code is StatusCode.OK else RunError(type="ValueError", message="no", stack="trace"),
        result=b'{"width":64}' if code is StatusCode.OK else None,
        executor="e#1",
        instance="i1",
        cold_start=True,
        started_at_ms=2_000,
        ended_at_ms=3_500,
        duration_ms=1_500.0,
        memory_mb=41.5,
        log_lines=lines,
    )


def run_of(*records: LedgerRecord) -> RunFold:
    run = RunFold(row=1, request_id=RUN, function="thumbnail", first_seen_ms=500)
    for record in records:
        run.apply(record, encode(record))
    return run


def document_of(run: RunFold) -> dict[str, object]:
    shown = run.shown
    return run_document(
        {
            "request_id": run.request_id,
            "function": run.function,
            "status": run.status.value,
            "deliveries": len(run.deliveries),
            "accepted": run.accepted,
            "started": shown and shown.started,
            "verdict": shown and shown.verdict,
            "progress": run.progress,
        }
    )


def restored(run: RunFold) -> RunFold:
    """As it comes back from the database."""
    again = RunFold(row=1, request_id=RUN, function="thumbnail", first_seen_ms=run.first_seen_ms)
    shown = run.shown
    kept = shown and DeliveryFold(shown.name, shown.started, shown.verdict, shown.state.void_verdicts)
    older = run.older()
    again.restore(run.accepted, kept, None if older is None else older.decode())
    return again


def test_a_finished_run_gives_the_whole_document() -> None:
    assert document_of(run_of(accepted(), started(), ended())) == {
        "request_id": RUN,
        "function": "thumbnail",
        "version": "v1",
        "status": "FINISHED",
        "status_code": 200,
        "error": None,
        "result": {"width": 64},
        "trigger": "http",
        "source": "headrace:http/thumbnail",
        "subject": "a.png",
        "accepted_at": "1970-01-01T00:00:01.000Z",
        "started_at": "1970-01-01T00:00:02.000Z",
        "ended_at": "1970-01-01T00:00:03.500Z",
        "wait_reason": None,
        "executor": "e#1",
        "instance": "i1",
        "cold_start": True,
        "duration_ms": 1500.0,
        "memory_mb": 41.5,
        "log_lines": 3,
        "progress": None,
    }


def test_a_queued_and_a_running_run_show_nothing_they_do_not_have() -> None:
    queued, running = document_of(run_of(accepted())), document_of(run_of(accepted(), started()))
    assert (queued["status"], queued["started_at"], queued["executor"]) == ("QUEUED", None, None)
    assert (running["status"], running["started_at"], running["ended_at"]) == (
        "RUNNING",
        "1970-01-01T00:00:02.000Z",
        None,
    )


def test_a_failed_run_shows_its_error() -> None:
    document = document_of(run_of(accepted(), started(), ended(code=StatusCode.HANDLER_RAISED)))
    assert document["status"] == "FAILED"
    assert document["error"] == {"type": "ValueError", "message": "no", "stack": "trace"}
    assert document["result"] is None


def test_the_first_verdict_stays_and_the_second_is_void() -> None:
    run = run_of(accepted(), started(), ended(), ended(code=StatusCode.INSTANCE_LOST))
    assert run.status is Status.FINISHED
    assert run.void == 1


def test_the_first_verdict_stays_across_a_restart_of_the_recorder() -> None:
    run = restored(run_of(accepted(), started(), ended()))
    late = ended(code=StatusCode.INSTANCE_LOST)
    run.apply(late, encode(late))
    assert run.status is Status.FINISHED
    assert run.void == 1


def test_a_repeated_verdict_is_no_void_one() -> None:
    run = restored(run_of(accepted(), started(), ended()))
    run.apply(ended(), encode(ended()))
    assert run.void == 0


def test_repeats_of_accepted_change_nothing() -> None:
    run = run_of(accepted(1_000), accepted(9_000))
    assert document_of(run)["accepted_at"] == "1970-01-01T00:00:01.000Z"


def test_the_newest_delivery_is_shown_and_the_older_one_keeps_its_own_verdict() -> None:
    run = restored(run_of(accepted(), started(FIRST), started(SECOND, 8_000)))
    late = ended(FIRST, StatusCode.TIME_LIMIT)
    run.apply(late, encode(late))
    document = document_of(restored(run))
    assert document["status"] == "RUNNING"
    assert document["started_at"] == "1970-01-01T00:00:08.000Z"
    assert document["deliveries"] == 2
    verdict = restored(run).deliveries[str(FIRST)].state.verdict
    assert verdict is not None
    assert verdict.status_code is StatusCode.TIME_LIMIT


def test_an_older_delivery_that_is_heard_of_late_is_not_shown() -> None:
    run = run_of(started(SECOND), ended(FIRST, StatusCode.INSTANCE_LOST))
    assert run.shown is run.deliveries[str(SECOND)]


def test_a_delivery_in_the_queue_of_a_later_creation_is_newer() -> None:
    later = Delivery("queue.thumbnail.2", 0, 1)
    run = run_of(started(SECOND), started(later))
    assert run.shown is run.deliveries[str(later)]


def test_a_verdict_without_a_delivery_ends_the_run() -> None:
    run = run_of(accepted(), ended(None, StatusCode.FUNCTION_NOT_FOUND))
    assert restored(run).status is Status.FAILED
    assert list(restored(run).deliveries) == [NO_DELIVERY]


def test_a_run_shows_before_its_accepted_record_has_come() -> None:
    run = run_of(started(), ended())
    document = document_of(run)
    assert (document["status"], document["accepted_at"], document["version"]) == ("FINISHED", None, None)
    run.apply(accepted(), encode(accepted()))
    assert document_of(run)["accepted_at"] == "1970-01-01T00:00:01.000Z"


def test_lines_alone_tell_that_a_run_is_under_way() -> None:
    run = run_of(accepted())
    run.meet(str(FIRST))
    assert run.status is Status.RUNNING
