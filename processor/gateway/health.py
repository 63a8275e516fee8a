from __future__ import annotations

from collections.abc import Callable

from processor.http.message import Response, json_response
from processor.http.problems import Refused, unavailable


class HealthRoutes:
    """missing: what this gateway still lacks to serve, in words; empty when it is ready."""

    def __init__(self, missing: Callable[[], list[str]]) -> None:
        self._missing = missing

    async def alive(self) -> Response:
        return json_response({"status": "alive"})

    async def ready(self) -> Response:
        missing = self._missing()
        if missing:
            raise Refused(unavailable("not-ready", "Not ready", "; ".join(missing)))
        return json_response({"status": "ready"})
