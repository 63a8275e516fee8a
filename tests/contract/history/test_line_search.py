from __future__ import annotations

from dataclasses import replace

import pytest

from processor.recorder import line_search
from processor.recorder.store import BadCursor, FoundPage, HistoryStore, LineQuery, Place
from tests.history_records import AT, DAY_MS, TODAY_MS, accepted, batch, delivery, lines, rid, started, told

MINUTE_MS = 60_000


def texts(store: HistoryStore, query: LineQuery) -> list[str]:
    return [found.line.text for page in pages(store, query) for found in page.lines]


def pages(store: HistoryStore, query: LineQuery) -> list[FoundPage]:
    found = [store.search_lines(query)]
    while found[-1].cursor is not None:
        assert len(found) < 1_000
        found.append(store.search_lines(replace(query, cursor=found[-1].cursor)))
    return found


@pytest.fixture
def searched(store: HistoryStore) -> HistoryStore:
    """Three runs of two functions, within ten minutes around midnight."""
    store.apply(
        batch(
            accepted(1),
            accepted(2, function="other"),
            accepted(3),
            told(1, [[1, "stdout", None, TODAY_MS - 120_000, "begin"]], at_ms=TODAY_MS - 120_000),
            told(2, [[1, "log", "INFO", TODAY_MS + 10, "Begin other"]], at_ms=TODAY_MS + 10, function="other"),
            told(
                1,
                [
                    [2, "log", "WARNING", TODAY_MS + 20, "slow: 100% of 5_s"],
                    [3, "log", "ERROR", TODAY_MS + 21, 'could not "resize"\nat all'],
                    [4, "log", "NOTICE", TODAY_MS + 22, "größer"],
                ],
                at_ms=TODAY_MS + 30,
            ),
            told(3, [[1, "log", "CRITICAL", TODAY_MS + 300_000, "out of luck"]], at_ms=TODAY_MS + 300_000),
        ),
        AT,
    )
    return store


EVERYTHING = ["out of luck", "größer", 'could not "resize"\nat all', "slow: 100% of 5_s", "Begin other", "begin"]


def test_without_any_condition_every_line_comes_the_newest_first(searched: HistoryStore) -> None:
    assert texts(searched, LineQuery()) == EVERYTHING
    found = searched.search_lines(LineQuery(text="luck")).lines
    assert [(each.request_id, each.function, each.delivery, each.line.seq) for each in found] == [
        (rid(3), "resize", str(delivery(3)), 1)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LineQuery(function="other"), ["Begin other"]),
        (LineQuery(function="nobody"), []),
        (LineQuery(level="ERROR"), ["out of luck", 'could not "resize"\nat all']),
        (LineQuery(level="ERROR", function="other"), []),
        (LineQuery(level="INFO"), EVERYTHING[:-1]),
        (LineQuery(level="INFO", function="other"), ["Begin other"]),
        (LineQuery(text="BEGIN"), ["Begin other", "begin"]),
        (LineQuery(text="begin", function="resize"), ["begin"]),
        (LineQuery(text="100%"), ["slow: 100% of 5_s"]),
        (LineQuery(text="5__"), []),
        (LineQuery(text='"resize"\nat'), ['could not "resize"\nat all']),
        (LineQuery(text="größer"), ["größer"]),
        (LineQuery(text="stdout"), []),  # of the line itself, not of what is kept beside it
        (LineQuery(text="\0"), []),
        (LineQuery(since_ms=TODAY_MS + 21, until_ms=TODAY_MS + 300_000), ["größer", 'could not "resize"\nat all']),
        (LineQuery(until_ms=TODAY_MS), ["begin"]),
        (LineQuery(since_ms=TODAY_MS + 300_001), []),
        (LineQuery(request_id=rid(1)), [*EVERYTHING[1:4], "begin"]),
        (LineQuery(request_id=rid(1), level="WARNING"), EVERYTHING[2:4]),
        (LineQuery(request_id=rid(1), text="begin", until_ms=TODAY_MS), ["begin"]),
        (LineQuery(request_id=rid(1), delivery="queue.resize.1/0/77"), []),
        (LineQuery(request_id=rid(99)), []),
        (LineQuery(request_id="\0"), []),
    ],
)
def test_lines_are_found_by_function_run_level_text_and_time(
    searched: HistoryStore, query: LineQuery, expected: list[str]
) -> None:
    assert texts(searched, query) == expected


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("query", [LineQuery(), LineQuery(request_id=rid(1)), LineQuery(function="resize")])
def test_pages_meet_every_line_once_also_where_they_end_inside_of_a_piece(
    searched: HistoryStore, monkeypatch: pytest.MonkeyPatch, query: LineQuery, limit: int
) -> None:
    whole = texts(searched, query)
    monkeypatch.setattr(line_search, "SLICE_ROWS", 2)
    monkeypatch.setattr(line_search, "_PIECE", 1)
    assert texts(searched, replace(query, limit=limit)) == whole
    assert all(len(page.lines) <= limit for page in pages(searched, replace(query, limit=limit)))


def test_a_search_that_takes_too_long_says_how_far_it_came_and_goes_on_from_there(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_search, "SLICE_ROWS", 2)
    monkeypatch.setattr(line_search, "LOOK_SEC", -1.0)
    pieces = [lines(n, 1, 1, at_ms=TODAY_MS + n * MINUTE_MS) for n in range(6)]
    store.apply(batch(*(accepted(n) for n in range(6)), *pieces), AT)
    found = pages(store, LineQuery(text="nowhere"))
    minutes = [page.searched_to_ms and (page.searched_to_ms - TODAY_MS) // MINUTE_MS for page in found]
    assert minutes == [4, 2, 0, None]
    assert [page.lines for page in found] == [[], [], [], []]


def test_a_full_page_says_how_far_it_came(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 3, at_ms=TODAY_MS + 5)), AT)
    page = store.search_lines(LineQuery(limit=2))
    assert [each.line.seq for each in page.lines] == [3, 2]
    assert page.searched_to_ms == TODAY_MS + 5
    assert page.cursor is not None


def test_lines_that_arrive_between_two_pages_move_nothing(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 4)), AT)
    first = store.search_lines(LineQuery(limit=2))
    store.apply(batch(lines(1, 5, 9, at_ms=TODAY_MS + 1)), AT)
    rest = store.search_lines(LineQuery(limit=9, cursor=first.cursor))
    assert [each.line.seq for each in rest.lines] == [2, 1]


def test_a_piece_that_came_in_twice_is_found_once(store: HistoryStore) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 2)), AT)
    store.apply(batch(lines(1, 1, 2), lines(1, 1, 2, at_ms=TODAY_MS + DAY_MS)), AT)
    assert [each.line.seq for each in store.search_lines(LineQuery()).lines] == [2, 1]


def test_lines_of_a_run_that_nobody_has_announced_are_found(store: HistoryStore) -> None:
    store.apply(batch(lines(1, 1, 1)), AT)
    assert [each.request_id for each in store.search_lines(LineQuery(function="resize")).lines] == [rid(1)]


@pytest.mark.parametrize(
    "cursor", ["nonsense", Place(1, 2).cursor(), "", "bDEuMg", "bDEuMi45OTk5OTk5OTk5OTk5OTk5OTk5OQ"]
)
def test_a_foreign_cursor_is_refused(store: HistoryStore, cursor: str) -> None:
    store.apply(batch(accepted(1), started(1)), AT)
    with pytest.raises(BadCursor, match=rf"^'{cursor}' is not a cursor of this list$"):
        store.search_lines(LineQuery(cursor=cursor))
    with pytest.raises(BadCursor, match=rf"^'{cursor}' is not a cursor of this list$"):
        store.search_lines(LineQuery(request_id=rid(1), cursor=cursor))
