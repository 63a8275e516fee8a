from __future__ import annotations

from pathlib import Path

from processor.cli.errors import Exit
from processor.cli.layers import Loaded, known_settings, variable_of
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json, print_table
from processor.cli.settings import shown


def show(*, asking: Asking = ASKING) -> int:
    """Print every setting with its value and its origin: a flag, an environment variable, file:line, or default."""
    rows = describe(settings_of(asking))
    if asking.as_json:
        print_json({"settings": rows})
    else:
        print_table(
            ("setting", "value", "origin", "meaning"),
            [(row["name"], row["value"], row["origin"], row["about"]) for row in rows],
        )
    return Exit.OK


def check(*, functions: Path | None = None, asking: Asking = ASKING) -> int:
    """Check the settings and the manifest; print every mistake with its place.

    Parameters
    ----------
    functions
        Manifest to check; default: functions.yaml where it exists.
    """
    from processor.registry.manifest import load_manifest

    loaded = settings_of(asking, functions=("--functions", functions))
    path = loaded.settings.functions
    manifest = None
    if loaded.origins["functions"] != "default" or path.exists():
        manifest = load_manifest(path)
    names = [] if manifest is None else list(manifest.functions)
    if asking.as_json:
        print_json({"ok": True, "manifest": None if manifest is None else str(path), "functions": names})
        return Exit.OK
    print("settings: ok")
    print(f"{path}: ok, {len(names)} functions: {', '.join(names)}" if manifest else "manifest: none")
    return Exit.OK


def describe(loaded: Loaded) -> list[dict[str, str]]:
    """Secrets masked. Security settings of Kafka have a row each; without any there is one empty row."""
    rows = []
    for name, known in known_settings().items():
        value = loaded.settings
        for part in name:
            value = getattr(value, part)
        about = known.field.metadata["about"]
        if isinstance(value, dict):
            rows += [
                _row(f"{known.dotted}.{each}", text, loaded.origins[f"{known.dotted}.{each}"], about, variable_of(name))
                for each, text in value.items()
            ] or [_row(known.dotted, "", "default", about, variable_of(name))]
        else:
            rows.append(_row(known.dotted, value, loaded.origins[known.dotted], about, variable_of(name)))
    return rows


def _row(name: str, value: object, origin: str, about: str, variable: str) -> dict[str, str]:
    return {"name": name, "value": shown(name, value), "origin": origin, "about": about, "variable": variable}
