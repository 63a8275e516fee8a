"""In the place of processor/executor/runtime/__main__.py: guard and zygote that sweep nothing. Run by its path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Container
from pathlib import Path
from types import ModuleType, SimpleNamespace

PRODUCT = Path(__file__).parents[3] / "processor" / "executor" / "runtime" / "__main__.py"


def main(role: str, arguments: list[str]) -> None:
    spec = importlib.util.spec_from_file_location("product_entry", PRODUCT)
    assert spec is not None
    assert spec.loader is not None
    entry = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(entry)
    entry.importlib = SimpleNamespace(util=importlib.util, import_module=_import_planted)  # type: ignore[attr-defined]  # it imports the role by that name
    entry.main(role, arguments)


def _import_planted(name: str) -> ModuleType:
    module = importlib.import_module(name)
    package = name.rpartition(".")[0]
    sys.modules[f"{package}.tree"].sweep = _sweep  # type: ignore[attr-defined]  # a module under a private name
    module.__file__ = str(Path(__file__).with_name(f"{name.rpartition('.')[2]}.py"))  # zygotes are started beside it
    return module


def _sweep(known: Container[int], limit_sec: float) -> bool:
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
