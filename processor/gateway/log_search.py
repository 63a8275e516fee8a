"""`GET /v1/logs`: lines of all runs, newest first."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from processor.core.clock import Clock
from processor.gateway.answers import answer
from processor.gateway.history import AsyncHistory
from processor.gateway.routes import Route
from processor.gateway.schemas import documents
from processor.gateway.schemas.parameters import LogSearchQuery
from processor.gateway.stream import line_document
from processor.recorder.store import FoundLine, timestamp


class LogSearchRoutes:
    def __init__(self, history: AsyncHistory, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/logs",
                endpoint=self.search,
                summary="Search the log lines of all runs, newest first",
                answers={200: documents.FoundLines},
                tag="logs",
            )
        ]

    async def search(self, query: Annotated[LogSearchQuery, Query()]) -> Response:
        """Looks for about a second: a page can be short, or empty, and still have a cursor to search on from."""
        page = await self._history.search_lines(query.history_query(self._clock.unix_ms()))
        lines = [_found(each) for each in page.lines]
        return answer({"lines": lines, "cursor": page.cursor, "searched_to": timestamp(page.searched_to_ms)})


def _found(found: FoundLine) -> dict[str, Any]:
    return {"request_id": found.request_id, "function": found.function, **line_document(found.line)}
