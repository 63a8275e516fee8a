from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from processor.core.inflight import Intent
from processor.core.ledger import Ended, Started, fold_all
from processor.core.progress import Progress
from processor.core.run import Delivery, StatusCode
from processor.ops.audit.evidence import Answer, Evidence, EvidenceUnreadable, Journal, Sent, read_evidence
from processor.ops.audit.facts import Facts, LineFacts, RunFacts, take_lines
from processor.ops.audit.invariants import Report, examine
from processor.transport.abstract import Record

AT = Delivery("queue.f.1", 0, 7)


def started(executor: str = "x#1") -> Started:
    return Started(request_id="r", function="f", delivery=AT, executor=executor, started_at_ms=1)


def ended(code: StatusCode = StatusCode.OK, log_lines: int = 0) -> Ended:
    return Ended(request_id="r", function="f", delivery=AT, status_code=code, log_lines=log_lines, ended_at_ms=2)


def facts(*records: Started | Ended, lines: LineFacts | None = None) -> Facts:
    run = RunFacts(function="f", accepted={(0, 0, 1)}, deliveries={AT: fold_all(records)} if records else {})
    run.starters = {AT: {each.executor for each in records if isinstance(each, Started)}}
    return Facts(runs={"r": run}, lines={("r", str(AT)): lines} if lines else {})


def sent(answer: Answer = Answer.OK, *, key: str = "k", run: str = "r") -> Sent:
    return Sent(key=key, request_id=run, answer=answer)


def journal(starts: int = 1, ends: int = 1) -> Journal:
    return Journal(starts=Counter({"r": starts} if starts else {}), ends=Counter({"r": ends} if ends else {}))


WHOLE = Evidence(sent=(sent(),), journal=journal())
HISTORY = {("f", "FINISHED"): 1}


def broken(found: Facts, evidence: Evidence = WHOLE, history: dict[tuple[str, str], int] | None = None) -> set[str]:
    report = examine(found, evidence, HISTORY if history is None else history, drained=True)
    assert report.ok == (not any(each.broken for each in report.invariants))
    return {each.id for each in report.invariants if each.broken}


def test_a_run_that_went_well_breaks_nothing_and_is_counted() -> None:
    report = examine(facts(started(), ended()), WHOLE, HISTORY, drained=True)
    assert report.ok
    assert {each.id for each in report.invariants if each.checked == 1} >= {"I1", "I2", "I3", "I5", "I9", "I11"}
    assert report.sometimes["acknowledged"] == 1


def test_an_acknowledged_event_that_is_nowhere_is_lost() -> None:
    evidence = Evidence(sent=(sent(), sent(key="other", run="gone")), journal=journal())
    assert broken(facts(started(), ended()), evidence) == {"I1"}


def test_a_run_without_verdict_is_broken_only_once_everything_had_its_time() -> None:
    found = facts(started())
    assert broken(found, history={("f", "RUNNING"): 1}) == {"I2"}
    assert examine(found, WHOLE, None, drained=False).ok


@pytest.mark.parametrize("how", ["journal", "ledger"])
def test_a_second_start_is_seen_in_the_journal_and_in_the_ledger(how: str) -> None:
    if how == "journal":
        assert broken(facts(started(), ended()), Evidence(journal=journal(starts=2))) == {"I3"}
    else:
        assert broken(facts(started(), started("y#1"), ended())) == {"I3"}


def test_lines_with_a_gap_or_fewer_than_the_verdict_says_are_told() -> None:
    assert broken(facts(started(), ended(log_lines=2), lines=LineFacts(next_seq=3))) == set()
    assert broken(facts(started(), ended(log_lines=3), lines=LineFacts(next_seq=3))) == {"I4"}
    assert broken(facts(started(), ended(log_lines=2), lines=LineFacts(next_seq=3, gaps=1))) == {"I4"}
    assert broken(facts(started(), ended(log_lines=2))) == {"I4"}


def test_lines_that_a_killed_executor_took_with_it_are_counted_and_break_nothing() -> None:
    lost = facts(started(), ended(log_lines=5), lines=LineFacts(next_seq=3, gaps=1))
    assert broken(lost) == {"I4"}
    lost.dead.add(started().executor)
    assert broken(lost) == set()
    assert examine(lost, WHOLE, None, drained=True).sometimes["lines_lost_with_executor"] == 3
    too_many = facts(started(), ended(log_lines=1), lines=LineFacts(next_seq=3))
    too_many.dead.add(started().executor)
    assert broken(too_many) == {"I4"}


def test_lines_that_a_marker_stands_for_are_no_gap() -> None:
    found = Facts()
    lines = [
        [1, "stdout", None, 0, "a"],
        [2, "platform", None, 0, "[3 lines were lost here]"],
        [5, "stdout", None, 0, "b"],
    ]
    value = orjson.dumps({"request_id": "r", "delivery": str(AT), "lines": lines})
    take_lines(found, Record("logs", 0, 0, 0, 0, b"r", value, ()))
    take_lines(found, Record("logs", 0, 1, 0, 0, b"r", value, ()))
    assert found.lines["r", str(AT)] == LineFacts(next_seq=6, gaps=0)


def test_finished_without_an_end_in_the_journal_is_a_lie() -> None:
    assert broken(facts(started(), ended()), Evidence(journal=journal(ends=0))) == {"I5"}


def test_expired_although_the_handler_began_is_a_lie() -> None:
    found = facts(ended(StatusCode.EXPIRED))
    assert broken(found, history={("f", "ABORTED"): 1}) == {"I5"}


def test_lost_with_an_executor_that_had_not_started_it_is_a_lie() -> None:
    lost = replace(ended(StatusCode.INSTANCE_LOST), executor="dead#1")
    assert broken(facts(started("living#1"), lost), history={("f", "FAILED"): 1}) == {"I5"}
    assert broken(facts(started("dead#1"), lost), history={("f", "FAILED"): 1}) == set()
    assert broken(facts(lost), history={("f", "FAILED"): 1}) == set(), "claimed, and never begun"


def test_an_event_of_unknown_fate_may_start_once_but_not_twice() -> None:
    evidence = Evidence(sent=(sent(Answer.UNKNOWN), sent(Answer.OK)), journal=journal(starts=2))
    assert broken(facts(started(), ended()), evidence) == {"I3", "I6"}


def test_one_key_with_two_request_ids_is_told() -> None:
    found = facts(started(), ended())
    found.runs["s"] = found.runs["r"]
    evidence = Evidence(sent=(sent(), sent(run="s")))
    assert broken(found, evidence, {("f", "FINISHED"): 2}) == {"I9"}


def test_a_history_that_counts_otherwise_is_told() -> None:
    assert broken(facts(started(), ended()), history={("f", "FAILED"): 1}) == {"I11"}


def test_a_claim_left_open_is_told() -> None:
    found = facts(started(), ended())
    found.intents[b"k"] = Intent(executor="x#1", request_id="r", function="f", delivery=AT, batch=1)
    assert broken(found) == {"I13"}


def test_the_report_document_has_the_fields_that_scripts_read() -> None:
    report: Report = examine(facts(started(), ended()), WHOLE, HISTORY, drained=True)
    document = report.document()
    assert set(document) == {"invariants", "sometimes", "ok"}
    assert all(set(each) >= {"id", "checked", "broken", "examples"} for each in document["invariants"])


def test_evidence_is_read_from_files(tmp_path: Path) -> None:
    acknowledgements, notes = tmp_path / "a.jsonl", tmp_path / "journal"
    acknowledgements.write_bytes(
        orjson.dumps({"key": "k", "request_id": None, "outcome": "unknown"})
        + b"\n"
        + orjson.dumps({"key": "k", "request_id": "r", "outcome": "ok"})
    )
    notes.write_text("r 12 start\nr 12 end\n")
    evidence = read_evidence([acknowledgements], [notes])
    assert evidence.acknowledged() == {"r"}
    assert evidence.journal == journal()


@pytest.mark.parametrize("line", ["{", "{}", '{"key":"k","outcome":"perhaps"}', "[]"])
def test_unreadable_evidence_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"key":"k","request_id":"r","outcome":"ok"}}\n{line}\n')
    with pytest.raises(EvidenceUnreadable, match="line 2"):
        read_evidence([path], [])


def test_progress_is_no_line_and_nothing_that_could_not_be_read() -> None:
    found = Facts()
    said = Progress(request_id="r", function="f", delivery="q/0/1", fraction=0.5, message="", at_ms=1)
    take_lines(found, Record("logs", 0, 0, 0, 0, b"r", said.encode(), ()))
    assert (found.lines, found.undecodable) == ({}, 0)
