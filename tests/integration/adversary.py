"""What a test knows of one adversary (tests/functions/adversarial.py) without asking the product."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any


class Site:
    def __init__(self, folder: Path) -> None:
        self.witness = folder / "witness"
        self.precious = folder / "precious"
        self.precious.mkdir()
        (self.precious / "file").touch()

    def event(self, trick: str, then: str) -> dict[str, str]:
        return {"trick": trick, "then": then, "witness": str(self.witness), "precious": str(self.precious)}

    @property
    def notes(self) -> dict[str, Any]:
        return {key: value for line in self.witness.read_text().splitlines() for key, value in json.loads(line).items()}

    def survivors(self) -> list[int]:
        """Whoever holds the witness open."""
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and str(self.witness) in _open_files(pid)]

    def folder_is_left(self) -> bool:
        return os.path.lexists(self.notes["folder"])

    def port_is_free(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.notes["port"])) != 0


def _open_files(pid: str) -> set[str]:
    found = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            found.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    except OSError:
        return found  # it has ended
    return found
