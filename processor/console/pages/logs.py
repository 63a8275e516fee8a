"""What does it say? Lines of all runs."""

from __future__ import annotations

from urllib.parse import urlencode

from processor.console.page import Equivalent, Page, Visit, problem_page
from processor.console.pages.runs import command, function_names
from processor.http.in_process import address

FILTERS = ("function", "level", "since", "text")
_LINES = 300


async def page(visit: Visit) -> Page:
    asked = visit.asked_all(*FILTERS, "cursor")
    asked.setdefault("since", "1h")
    where = address("v1", "logs", **asked, limit=_LINES)
    answer = await visit.api.get(where)
    if not answer.ok:
        return problem_page(answer, "logs")
    found = answer.document
    kept = {name: value for name, value in asked.items() if name != "cursor"}
    return Page(
        template="logs.html",
        title="Logs",
        section="logs",
        values={
            "asked": {name: asked.get(name, "") for name in (*FILTERS, "cursor")},
            "names": await function_names(visit),
            "lines": found["lines"],
            "cursor": found["cursor"],
            "note": _note(found),
            "link": lambda cursor: "?" + urlencode({**kept, "cursor": cursor}),
        },
        equivalents=(
            Equivalent(
                cli=command(
                    "headrace logs", {**asked, "grep": asked.get("text", "")}, ("function", "level", "since", "grep")
                ),
                path=where,
            ),
        ),
    )


def _note(found: dict[str, object]) -> str:
    lines = found["lines"]
    assert isinstance(lines, list)
    count = f"{len(lines)} lines, newest first"
    back_to = found.get("searched_to")
    return f"{count}; searched back to {back_to}" if found["cursor"] and back_to else count
