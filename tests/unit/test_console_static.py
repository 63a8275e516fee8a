from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from processor.console.page import POLICY
from processor.console.static import StaticFiles
from processor.http.message import Message, Request
from processor.http.problems import Refused

CONSOLE = Path(__file__).parents[2] / "processor" / "console"
#: What one page may weigh in all, unpacked (issue: see and steer).
PAGE_BYTES = 150_000


def asked(**headers: str) -> Request:
    async def receive() -> Message:
        raise AssertionError

    scope: dict[str, Any] = {
        "method": "GET",
        "raw_path": b"/console/static/x/console.css",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    return Request(scope, receive)


def test_a_file_is_packed_for_who_takes_it_and_may_be_kept_for_a_year() -> None:
    files = StaticFiles()
    plain = files.get(asked(), files.version, "console.css")
    packed = files.get(asked(accept_encoding="gzip, br"), files.version, "console.css")
    assert plain.body == gzip.decompress(packed.body) == (CONSOLE / "static" / "console.css").read_bytes()
    assert (b"content-encoding", b"gzip") in (packed.headers or [])
    assert any(b"immutable" in value for _, value in plain.headers or [])


def test_nobody_keeps_a_file_that_is_of_another_version_than_the_page() -> None:
    answer = StaticFiles().get(asked(), "before", "console.css")
    assert [value for name, value in answer.headers or [] if name == b"cache-control"] == [b"no-store"]


@pytest.mark.parametrize("name", ["../app.py", "app.py", "", "vendor", "/etc/passwd"])
def test_nothing_but_the_files_is_served(name: str) -> None:
    with pytest.raises(Refused):
        StaticFiles().get(asked(), "any", name)


def test_all_that_a_page_can_load_is_light() -> None:
    loaded = [each for each in (CONSOLE / "static").rglob("*") if each.suffix in (".css", ".js", ".svg")]
    assert sum(each.stat().st_size for each in loaded) < PAGE_BYTES


def test_no_template_has_anything_that_the_policy_would_forbid() -> None:
    assert b"unsafe" not in POLICY
    for template in (CONSOLE / "templates").glob("*.html"):
        text = template.read_text()
        assert not re.search(r"\sstyle=|\son[a-z]+=|hx-on|javascript:", text), template.name
        assert not re.search(r"<script(?![^>]*(src=|application/json))", text), template.name
        assert "|safe" not in text.replace(" ", ""), template.name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), template.name
