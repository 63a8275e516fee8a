"""Options that several commands share."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from processor.cli.layers import Given, Loaded, load_settings


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Common:
    config: Path | None = None
    "Settings file (TOML); default: $HEADRACE_CONFIG, else config/headrace.toml where it exists."


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asking(Common):
    """Of commands that ask the gateway."""

    gateway: str | None = None
    "Address of the gateway, such as http://127.0.0.1:8787; default: from the settings."
    output: Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])] = "text"
    "json: one document on standard output, for scripts."

    @property
    def as_json(self) -> bool:
        return self.output == "json"


COMMON = Common()
ASKING = Asking()


def settings_of(common: Common, **flags: tuple[str, Any]) -> Loaded:
    """flags: setting's name with __ between levels = (the flag, its value or None). Raises SettingsInvalid."""
    given = {
        name.replace("__", "."): Given(value=value, origin=flag)
        for name, (flag, value) in flags.items()
        if value is not None
    }
    if isinstance(common, Asking) and common.gateway is not None:
        given["gateway.url"] = Given(value=common.gateway, origin="--gateway")
    loaded = load_settings(given, config=common.config)
    for warning in loaded.warnings:
        print(f"headrace: {warning}", file=sys.stderr)
    return loaded
