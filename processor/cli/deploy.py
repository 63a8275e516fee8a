from __future__ import annotations

from pathlib import Path
from typing import Any

from processor.cli.client import Client
from processor.cli.errors import CommandFailed, Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json
from processor.registry.spec import FunctionSpec


def deploy(*names: str, functions: Path | None = None, asking: Asking = ASKING) -> int:
    """Deploy the functions of a manifest. Unchanged ones stay as they are; ones that it does not name go on.

    The gateway reads the code from its own disk, so this runs on its machine, or on one with the same folders.

    Parameters
    ----------
    names
        Only these functions.
    functions
        The manifest; default: functions.yaml.
    """
    from processor.registry.manifest import load_manifest

    settings = settings_of(asking, functions=("--functions", functions)).settings
    wanted = load_manifest(settings.functions).functions
    unknown = sorted(set(names) - set(wanted))
    if unknown:
        raise CommandFailed(
            f"{settings.functions} has no function {', '.join(unknown)}",
            remedy=f"It has: {', '.join(wanted)}.",
            code=Exit.USAGE,
        )
    client = Client(settings.gateway.client_url)
    deployed = []
    for name, spec in wanted.items():
        if names and name not in names:
            continue
        if not asking.as_json:
            print(f"{name} ... ", end="", flush=True)
        document = client.deploy(name, entry_of(spec))
        deployed.append(document)
        if not asking.as_json:
            _print_deployed(document)
    if asking.as_json:
        print_json({"functions": deployed})
    return Exit.OK


def entry_of(spec: FunctionSpec) -> dict[str, Any]:
    """A checked manifest entry in the form that the API takes: paths absolute, quantities as numbers."""
    entry = {
        "handler": spec.handler,
        "code": str(spec.code),
        "async_execution": spec.async_execution,
        "timeout": spec.timeout_sec,
        "memory": None if spec.memory_bytes is None else _memory(spec.memory_bytes),
        "concurrency": spec.concurrency,
        "rate": f"{spec.rate_per_sec * 3600:.12g}/h",
        "max_queue_age": spec.max_queue_age_sec,
        "claim_ahead": spec.claim_ahead_sec,
        "env": dict(spec.env),
        "role": spec.role,
        "enabled": spec.enabled,
        "events": list(spec.events),
    }
    return {name: value for name, value in entry.items() if value is not None}


def _memory(size_bytes: int) -> str:
    """The manifest's sizes are all multiples of 1,024 or of 1,000."""
    return f"{size_bytes // 1000}k" if size_bytes % 1024 else f"{size_bytes // 1024}Ki"


def _print_deployed(document: dict[str, Any]) -> None:
    print(f"version {document['version']}, revision {document['revision']}")
    for note in document.get("notes", []):
        print(f"  {note}")
