"""Finds members of a JSON document without changing a byte of them.

orjson's numbers are at most 64 bits wide: parsing a payload and dumping it again would change longer ones.
"""

from __future__ import annotations

import json
import re

_SPACE = re.compile(r"[ \t\n\r]*")
_SCAN = json.JSONDecoder().raw_decode


def member(document: str, name: str) -> str:
    """The text of a top-level member's value; of the last one, if there are several.

    `document` must be a valid JSON object that has the member. Raises RecursionError where it is nested too deep.
    """
    found = ""
    at = _skip(document, document.index("{") + 1)
    while document[at] != "}":
        key, at = _SCAN(document, at)
        at = _skip(document, _skip(document, at) + 1)  # the colon
        begin = at
        _, at = _SCAN(document, at)
        if key == name:
            found = document[begin:at]
        at = _next(document, at)
    return found


def elements(document: str) -> list[str]:
    """The text of each element. `document` must be a valid JSON array. Raises RecursionError as above."""
    found = []
    at = _skip(document, document.index("[") + 1)
    while document[at] != "]":
        begin = at
        _, at = _SCAN(document, at)
        found.append(document[begin:at])
        at = _next(document, at)
    return found


def _next(document: str, at: int) -> int:
    """Past white space and a comma."""
    at = _skip(document, at)
    return _skip(document, at + 1) if document[at] == "," else at


def _skip(document: str, at: int) -> int:
    match = _SPACE.match(document, at)
    return match.end() if match else at
