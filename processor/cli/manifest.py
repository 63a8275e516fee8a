"""The manifest for commands: found, checked, and deployed from this process or over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from processor.cli.layers import Loaded
from processor.cli.site import Site
from processor.registry.manifest import Manifest, load_manifest
from processor.registry.spec import notes


def manifest_if_any(loaded: Loaded) -> Manifest | None:
    """None: nobody named one, and there is none at the default place. Raises ManifestInvalid."""
    path = loaded.settings.functions
    if loaded.origins["functions"] == "default" and not path.exists():
        return None
    return load_manifest(path)


def make_watched_folders(manifest: Manifest, say: Callable[[str], None]) -> None:
    """For `dev`: elsewhere a missing folder may be a disk that is not mounted yet, and has to stay missing."""
    for wanted in manifest.functions.values():
        for path in (Path(event["folder"]["path"]) for event in wanted.events if "folder" in event):
            if not path.exists():
                path.mkdir(parents=True)
                shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
                say(f"folder {shown} created, watched for {wanted.name}")


async def deploy_directly(
    site: Site, manifest: Manifest, say: Callable[[str], None], *, only_changed: bool = False
) -> None:
    """Without a gateway, for the process that has everything in it. only_changed: say nothing of the others.

    Raises RegistryError, CodeRefused.
    """
    for wanted in manifest.functions.values():
        before = site.registry.view.get(wanted.name)
        function = await asyncio.to_thread(site.registry.deploy, wanted, site.code, actor="headrace dev")
        if only_changed and function == before:
            continue
        say(f"function {function.name} {function.current.version} {function.current.handler}")
        for note in notes(function):
            say(note)
