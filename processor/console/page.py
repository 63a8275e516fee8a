"""What every page is given, and how it becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from processor.console.templates import Templates
from processor.http.in_process import Answer, Api
from processor.http.message import Request, Response

HTML = b"text/html; charset=utf-8"
#: Nothing inline, nothing from elsewhere, no frames. Forms and streams go to where the page came from.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Equivalent:
    """What does the same outside the console."""

    cli: str
    #: The API's address, without a leading slash; "" when the command is enough.
    path: str = ""
    method: str = "GET"


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    template: str
    title: str
    #: Which entry of the navigation is lit.
    section: str
    values: Mapping[str, Any] = field(default_factory=dict)
    equivalents: tuple[Equivalent, ...] = ()
    status: int = 200
    #: How many segments its own address is longer than that of the page which it becomes a part of.
    deeper: int = 0


class Visit:
    """One request for a page."""

    def __init__(self, request: Request, api: Api) -> None:
        self.request = request
        self.api = api
        #: From the address of this page up to the root: pages work below any prefix that a proxy puts before them.
        self.root = "../" * (len(request.segments) - 1)

    def asked(self, name: str) -> str:
        return self.request.query.get(name, "").strip()

    def asked_all(self, *names: str) -> dict[str, str]:
        """Those of the names that the address has a value for."""
        return {name: value for name in names if (value := self.asked(name))}


def rendered(page: Page, visit: Visit, templates: Templates, version: str) -> Response:
    root = visit.root.removesuffix("../" * page.deeper)
    values = {
        "root": root,
        "static": f"{root}console/static/{version}/",
        "here": f"?{visit.request.scope['query_string'].decode('latin-1')}",
        "title": page.title,
        "section": page.section,
        "equivalents": page.equivalents,
        **page.values,
    }
    return Response(
        status=page.status, body=templates.render(page.template, values), content_type=HTML, headers=list(SAFE_HEADERS)
    )


def problem_page(answer: Answer, section: str) -> Page:
    """For what the API refused: its own words."""
    document = answer.document or {}
    title = document.get("title") or f"Error {answer.status}"
    return Page(
        template="problem.html", title=title, section=section, status=answer.status, values={"problem": document}
    )


def missing_page(path: str) -> Page:
    problem = {"detail": f"There is no page at {path}.", "remedy": "The navigation beside this has all of them."}
    return Page(template="problem.html", title="No such page", section="", status=404, values={"problem": problem})
