"""Each test of this folder runs over each history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from processor.recorder.postgres import PostgresHistoryStore
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import HistoryStore

#: Another store on the database of this test, not opened for writing; log_days and run_days may be given.
MakeStore: TypeAlias = Callable[..., HistoryStore]


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    made: list[HistoryStore] = []
    kind: MakeStore = (
        partial(SqliteHistoryStore, tmp_path / "history.db")
        if request.param == "sqlite"
        else partial(PostgresHistoryStore, request.getfixturevalue("postgres"))
    )

    def make_one(**days: int) -> HistoryStore:
        made.append(kind(**days))
        return made[-1]

    yield make_one
    for store in made:
        store.close()


@pytest.fixture
def store(make: MakeStore) -> HistoryStore:
    store = make()
    store.open_for_writing()
    return store
