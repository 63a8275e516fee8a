"""`/v1/about`: which installation this is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from starlette.responses import Response

from processor.gateway.answers import answer
from processor.gateway.routes import Route
from processor.gateway.schemas import documents


class AboutRoutes:
    """settings: name -> value, as people may see them."""

    def __init__(self, settings: Mapping[str, str], process: str) -> None:
        self._document = {"version": version("headrace"), "gateway": process, "settings": dict(settings)}

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/about",
                endpoint=self.about,
                summary="Version and settings of this gateway",
                answers={200: documents.About},
                tag="overview",
            )
        ]

    async def about(self) -> Response:
        """Settings as this gateway was started with, secrets masked. Other processes may have been given others."""
        return answer(self._document)
