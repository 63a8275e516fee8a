from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from processor.console import shown

_FOLDER = Path(__file__).parent / "templates"


class Templates:
    """Renders a page. Everything that is put into one is escaped."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            duration=shown.duration, size=shown.size, whole=shown.whole, pretty=shown.pretty, visible=shown.visible
        )
        self._environment.globals.update(share=shown.share, seconds_since=shown.seconds_since)

    def render(self, name: str, values: Mapping[str, Any]) -> bytes:
        now = datetime.now(UTC)
        tools = {
            "now": now,
            "ago": lambda text: shown.ago(text, now),
            "time_tag": lambda text: shown.time_tag(text, now),
        }
        return self._environment.get_template(name).render({**tools, **values}).encode()
