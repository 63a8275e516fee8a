"""DESIGN 12: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("processor", "triggers")

PORT = ("processor.transport.abstract", "processor.transport.replay")
CORE = ("processor.core",)

#: Starts a role and so builds concrete objects; but not in a function's process, where every import costs each start.
STARTER = "__main__"
CHILD = "processor.executor.runtime"

#: Package -> what it may import of ours besides itself. The longest package that a module is in counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "processor": (),
    "processor.core": (),
    "processor.transport": CORE,
    "processor.registry": (*CORE, *PORT),
    "processor.dispatcher": (*CORE, "processor.registry", *PORT),
    "processor.http": (*CORE, "processor.dispatcher.accept", *PORT),
    "processor.recovery": (*CORE, *PORT),
    "processor.executor": (*CORE, "processor.registry", *PORT),
    CHILD: (),
    "processor.recorder": (*CORE, *PORT),
    "processor.gateway": (
        *CORE,
        "processor.registry",
        "processor.console.app",
        "processor.dispatcher.accept",
        "processor.http",
        "processor.recorder.store",
        "processor.recorder.document",  # the run document that the store hands out
        *PORT,
    ),
    "processor.console": ("processor.http",),  # it asks the API, as anybody else (decision 007)
    "processor.ops": OURS,
    "processor.cli": OURS,
    "triggers": (*CORE, "processor.registry", "processor.dispatcher.accept", "processor.http", *PORT),
}
#: Implementations of one port: known only to whoever builds concrete objects.
STRANGERS = ("processor.transport.embedded", "processor.transport.kafka")
#: Only these may know what manifests and requests are checked with.
KNOWS_PYDANTIC = ("processor.registry.manifest", "processor.gateway.schemas", "processor.gateway.refusals")


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    importer: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}, imports {self.imported}"


def modules() -> Iterator[tuple[str, Path]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(module: str, source: str, *, is_package: bool = False) -> Iterator[Import]:
    """Everywhere in the file: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer=module, line=node.lineno, imported=alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node, is_package=is_package)
            for alias in node.names:
                yield Import(importer=module, line=node.lineno, imported=f"{base}.{alias.name}")


def absolute(module: str, node: ast.ImportFrom, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, node.module] if node.module else kept)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def home_of(module: str) -> str:
    return max((package for package in MAY_IMPORT if is_in(module, package)), key=len)


def is_allowed(each: Import) -> bool:
    home = home_of(each.importer)
    if not any(is_in(each.imported, package) for package in OURS):
        return True
    if MAY_IMPORT[home] == OURS or (each.importer.endswith(STARTER) and home != CHILD):
        return True
    if any(is_in(each.imported, one) and not is_in(each.importer, one) for one in STRANGERS):
        return False
    return any(is_in(each.imported, package) for package in (home, *MAY_IMPORT[home]))


def all_imports() -> list[Import]:
    return [
        each
        for module, path in modules()
        for each in imports_of(module, path.read_text(), is_package=path.name == "__init__.py")
    ]


def test_every_import_is_one_that_the_table_allows() -> None:
    assert [str(each) for each in all_imports() if not is_allowed(each)] == []


def test_every_package_has_its_row() -> None:
    packages = {".".join(module.split(".")[:2]) for module, _ in modules() if "." in module}
    packages = {each for each in packages if (ROOT / each.replace(".", "/")).is_dir() and is_in(each, "processor")}
    assert packages - MAY_IMPORT.keys() == set()


def test_only_the_manifest_and_the_schemas_of_the_api_know_pydantic() -> None:
    knowing = {
        each.importer for each in all_imports() if each.imported.partition(".")[0] in ("pydantic", "pydantic_core")
    }
    assert {each for each in knowing if not each.startswith(KNOWS_PYDANTIC)} == set()


@pytest.mark.parametrize(
    ("module", "line", "allowed"),
    [
        ("processor.core.event", "import orjson", True),
        ("processor.core.event", "from processor.core import run", True),
        ("processor.core.event", "from processor.transport import abstract", False),
        ("processor.core.event", "def f():\n    import processor.registry", False),
        ("processor.registry.registry", "from processor.transport.abstract import Reader", True),
        ("processor.registry.registry", "from processor.transport.embedded import EmbeddedTransport", False),
        ("processor.registry.registry", "from processor import transport", False),
        ("processor.gateway.invoke", "from processor.dispatcher.accept import Acceptor", True),
        ("processor.gateway.invoke", "from processor.dispatcher.service import DispatcherService", False),
        ("processor.gateway.invoke", "from processor.executor import service", False),
        ("processor.executor.service", "from processor.executor.runtime import frames", True),
        ("processor.executor.runtime.zygote", "from .channel import Channel", True),
        ("processor.executor.runtime.zygote", "from ..abstract import RunInput", False),
        ("processor.executor.runtime.zygote", "import processor.core.run", False),
        ("processor.transport.kafka.reader", "from processor.transport.abstract import Reader", True),
        ("processor.transport.kafka.reader", "from processor.transport.embedded import store", False),
        ("processor.transport.abstract", "from processor.transport.kafka import reader", False),
        ("processor.cli.dev", "from processor.transport.embedded import EmbeddedTransport", True),
        ("processor.executor.__main__", "from processor.transport.kafka import KafkaTransport", True),
        ("processor.executor.runtime.__main__", "from processor.core import run", False),
        ("triggers.folder", "from processor.dispatcher.accept import Acceptor", True),
        ("triggers.folder", "from processor.gateway.service import Gateway", False),
        ("triggers.http.listener", "from processor.http.server import Server", True),
        ("processor.http.app", "from processor.gateway.problems import problem_of", False),
    ],
)
def test_the_rules_tell_good_from_bad(module: str, line: str, allowed: bool) -> None:
    assert all(is_allowed(each) for each in imports_of(module, line)) is allowed
