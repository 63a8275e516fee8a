"""Plain HTTP to a gateway, by a client that the product did not write."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

#: Longer than the longest wait of the API that a test asks for.
ANSWER_SEC = 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    document: dict[str, Any]

    @property
    def problem(self) -> tuple[int, str, str]:
        """(status, name, detail), and checks what every problem has."""
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.document["status"] == self.status
        assert self.document["title"]
        return self.status, self.document["type"].removeprefix("urn:headrace:problem:"), self.document["detail"]


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    timeout_sec: float = ANSWER_SEC,
) -> Answer:
    """Header names with `_` for `-`. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_sec)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        )
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=answered, document=orjson.loads(response.read()))
    finally:
        connection.close()
