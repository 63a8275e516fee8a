from __future__ import annotations

import orjson
import pytest

from processor.core.run import RunError, Status, StatusCode
from processor.recorder import run_pages
from processor.recorder.store import BadCursor, HistoryStore, LogLine, RunPage, RunQuery
from tests.contract.history.conftest import MakeStore
from tests.history_records import AT, DAY_MS, TODAY_MS, accepted, batch, delivery, ended, ids, lines, rid, started


def test_pages_go_from_the_newest_to_the_oldest_and_meet_every_run_once(store: HistoryStore) -> None:
    # The same time twice: the row decides.
    store.apply(batch(*(accepted(n, at_ms=TODAY_MS + n // 2) for n in range(25))), AT)
    pages = _pages(store, RunQuery(limit=10))
    assert [each for page in pages for each in page] == [rid(n) for n in reversed(range(25))]
    assert len(pages) == 3


def test_pages_go_on_from_one_day_to_the_day_before(store: HistoryStore) -> None:
    store.apply(batch(*(accepted(n, at_ms=TODAY_MS - n * DAY_MS // 2) for n in range(9))), AT)
    pages = _pages(store, RunQuery(limit=2))
    assert [each for page in pages for each in page] == [rid(n) for n in range(9)]


def test_a_run_that_arrives_between_two_pages_moves_nothing(store: HistoryStore) -> None:
    store.apply(batch(*(accepted(n) for n in range(4))), AT)
    first = store.list_runs(RunQuery(limit=2))
    store.apply(batch(accepted(99)), AT)
    second = store.list_runs(RunQuery(limit=2, cursor=first.cursor))
    assert [each["request_id"] for each in second.runs] == [rid(1), rid(0)]


def test_lists_can_be_narrowed_by_function_status_and_time(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), accepted(2), accepted(3, function="other"), ended(1)), AT)
    store.apply(batch(accepted(4), started(4), ended(4, StatusCode.HANDLER_RAISED), started(2)), AT)
    assert ids(store, RunQuery(function="other")) == [rid(3)]
    assert ids(store, RunQuery(status=Status.FINISHED)) == [rid(1)]
    assert ids(store, RunQuery(status=Status.FAILED)) == [rid(4)]
    assert ids(store, RunQuery(status=Status.RUNNING, function="resize")) == [rid(2)]
    assert ids(store, RunQuery(since_ms=TODAY_MS + 3)) == [rid(4), rid(3)]
    assert ids(store, RunQuery(until_ms=TODAY_MS + 3)) == [rid(2), rid(1)]


def test_lists_can_be_narrowed_by_status_code_trigger_and_source(store: HistoryStore) -> None:
    store.apply(batch(accepted(1, trigger="kafka", source="kafka:orders"), accepted(2), accepted(3)), AT)
    store.apply(batch(ended(2, StatusCode.TIME_LIMIT), ended(3, StatusCode.HANDLER_RAISED)), AT)
    assert ids(store, RunQuery(status_code=433)) == [rid(2)]
    assert ids(store, RunQuery(status_code=999)) == []
    assert ids(store, RunQuery(status_code=433, status=Status.FINISHED)) == []
    assert ids(store, RunQuery(trigger="kafka")) == [rid(1)]
    assert ids(store, RunQuery(source="kafka:orders")) == [rid(1)]
    assert ids(store, RunQuery(source="kafka")) == []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("cats/TOM.png", [1]),
        ("TimeoutError", [2]),
        ("no more", [2]),
        ("100%", [2]),
        ("10_%", []),
        ("\\", []),
        ("'", []),
    ],
)
def test_lists_can_be_narrowed_by_a_text(store: HistoryStore, text: str, numbers: list[int]) -> None:
    error = RunError(type="TimeoutError", message="100% and no more")
    store.apply(
        batch(accepted(1, subject="Cats/tom.png"), accepted(2), ended(2, StatusCode.TIME_LIMIT, error=error)), AT
    )
    assert ids(store, RunQuery(text=text)) == [rid(n) for n in numbers]
    assert ids(store, RunQuery(text=rid(1)[4:20].upper())) == [rid(1)]


def test_what_no_index_has_is_looked_for_in_slices_and_pages_meet_every_match_once(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages, "SLICE_ROWS", 4)
    monkeypatch.setattr(run_pages, "_PIECE", 2)
    store.apply(batch(*(accepted(n, trigger="kafka" if n % 3 == 0 else "http") for n in range(40))), AT)
    pages = _pages(store, RunQuery(trigger="kafka", limit=5))
    assert [each for page in pages for each in page] == [rid(n) for n in reversed(range(0, 40, 3))]
    assert all(len(page) <= 5 for page in pages)


def test_a_look_that_takes_too_long_says_how_far_it_came_and_goes_on_from_there(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages, "SLICE_ROWS", 4)
    monkeypatch.setattr(run_pages, "LOOK_SEC", -1.0)
    store.apply(batch(*(accepted(n, trigger="kafka" if n == 1 else "http") for n in range(10))), AT)
    first = store.list_runs(RunQuery(trigger="kafka"))
    assert first == RunPage(runs=[], cursor=first.cursor, searched_to_ms=TODAY_MS + 6)
    assert [each for page in _pages(store, RunQuery(trigger="kafka")) for each in page] == [rid(1)]


def _pages(store: HistoryStore, query: RunQuery) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        page = store.list_runs(
            RunQuery(trigger=query.trigger, limit=query.limit, cursor=cursor),
        )
        found.append([each["request_id"] for each in page.runs])
        cursor = page.cursor
        if cursor is None:
            return found


def test_lists_leave_the_result_out_and_the_run_itself_has_it(store: HistoryStore) -> None:
    big = orjson.dumps("x" * 20_000)
    store.apply(batch(accepted(1), ended(1, result=big)), AT)
    (listed,) = store.list_runs(RunQuery()).runs
    document = store.get_run(rid(1))
    assert "result" not in listed
    assert listed["status_code"] == 200
    assert document is not None
    assert document["result"] == "x" * 20_000


@pytest.mark.parametrize(
    "cursor",
    ["nonsense", "MS4y.", "", "bDEuMi4z", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjE", "OTIyMzM3MjAzNjg1NDc3NTgwNy4x"],
)
def test_a_foreign_cursor_is_refused(store: HistoryStore, cursor: str) -> None:
    with pytest.raises(BadCursor, match=rf"^'{cursor}' is not a cursor of this list$"):
        store.list_runs(RunQuery(cursor=cursor))


def test_the_position_counts_the_queued_runs_of_the_function_that_were_accepted_before(store: HistoryStore) -> None:
    store.apply(batch(accepted(3), accepted(1), accepted(2), accepted(4), accepted(0, function="other")), AT)
    assert [store.position(rid(number)) for number in (0, 1, 2, 3, 4)] == [1, 1, 2, 3, 4]
    store.apply(batch(started(1), ended(2)), AT)
    assert [store.position(rid(number)) for number in (1, 2, 3, 4)] == [None, None, 1, 2]
    assert store.position(rid(99)) is None


def test_a_position_far_back_is_not_counted_out(store: HistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.recorder.sql_reads.MAX_POSITION", 2)
    store.apply(batch(*(accepted(number, at_ms=TODAY_MS) for number in range(4))), AT)
    assert [store.position(rid(number)) for number in range(4)] == [1, 2, None, None]


def test_lines_come_in_order_of_seq_from_every_day_and_after_any_of_them(store: HistoryStore) -> None:
    tomorrow = TODAY_MS + DAY_MS
    store.apply(batch(accepted(1), lines(1, 4, 6), lines(1, 1, 3)), AT)
    store.apply(batch(lines(1, 7, 9, at_ms=tomorrow)), AT)
    page = store.get_lines(rid(1))
    assert page.delivery == str(delivery(1))
    assert [each.seq for each in page.lines] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert page.lines[0] == LogLine(1, "stdout", None, TODAY_MS, "line 1")
    assert [each.seq for each in store.get_lines(rid(1), after_seq=5, limit=3).lines] == [6, 7, 8]
    assert store.get_lines(rid(1), after_seq=9).lines == []
    assert store.get_lines(rid(99)).lines == []


def test_lines_of_many_pieces_are_read_to_the_limit(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), *(lines(1, 2 * n + 1, 2 * n + 2) for n in range(250))), AT)
    assert [each.seq for each in store.get_lines(rid(1), limit=1_000).lines] == list(range(1, 501))
    assert [each.seq for each in store.get_lines(rid(1), after_seq=7, limit=301).lines] == list(range(8, 309))


def test_a_repeated_piece_of_the_log_is_shown_once(store: HistoryStore) -> None:
    store.apply(batch(lines(1, 1, 3)), AT)
    store.apply(batch(lines(1, 1, 3), lines(1, 2, 5), lines(1, 1, 3, at_ms=TODAY_MS + 1)), AT)
    assert [each.seq for each in store.get_lines(rid(1)).lines] == [1, 2, 3, 4, 5]


def test_objects_that_have_runs_are_found_by_function_source_and_subject(store: HistoryStore) -> None:
    store.apply(
        batch(
            accepted(1, trigger="storage", source="s3:a", subject="x"),
            accepted(2, trigger="storage", source="s3:a", subject="x"),
            accepted(3, trigger="storage", source="s3:b", subject="y"),
            accepted(4, trigger="http", source="s3:a", subject="y"),
        ),
        AT,
    )
    found = store.object_events("resize", "s3:a", ["x", "y"])
    assert {subject: sorted(events) for subject, events in found.items()} == {"x": ["1", "2"]}
    assert store.object_events("other", "s3:a", ["x"]) == {}


def test_another_store_can_read_what_one_has_written(make: MakeStore, store: HistoryStore) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 1)), AT)
    reader = make()
    assert ids(reader, RunQuery()) == [rid(1)]
    assert len(reader.get_lines(rid(1)).lines) == 1
