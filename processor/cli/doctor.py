from __future__ import annotations

from pathlib import Path

from processor.cli.errors import Exit
from processor.cli.options import ASKING, Asking, settings_of
from processor.cli.output import print_json


def doctor(*, functions: Path | None = None, asking: Asking = ASKING) -> int:
    """Check what Headrace needs: settings, manifest, disk, history, broker, topics, gateway. Changes nothing.

    Each finding is ok, warning or refused, with a remedy. Exit code 1 when anything is refused.

    Parameters
    ----------
    functions
        Manifest to check; default: functions.yaml where it exists.
    """
    from processor.cli.manifest import manifest_if_any
    from processor.ops.doctor import Finding, Level, examine, ok, refused
    from processor.registry.problems import ManifestInvalid

    loaded = settings_of(asking, functions=("--functions", functions))
    findings = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        if not asking.as_json:
            _print_finding(finding)

    found(ok("settings", f"{sum(each != 'default' for each in loaded.origins.values())} given, the rest default"))
    try:
        manifest = manifest_if_any(loaded)
        found(ok("manifest", f"{len(manifest.functions)} functions" if manifest else "none"))
    except ManifestInvalid as error:
        found(refused("manifest", str(error), error.remedy))
    for finding in examine(loaded.settings):
        found(finding)
    bad = any(each.level is Level.REFUSED for each in findings)
    if asking.as_json:
        print_json({"findings": [each.document() for each in findings], "ok": not bad})
    return Exit.FAILED if bad else Exit.OK


def _print_finding(finding: object) -> None:
    from processor.ops.doctor import Finding, Level

    assert isinstance(finding, Finding)
    print(f"{finding.level.value:<8} {finding.subject}: {finding.message}", flush=True)
    if finding.level is not Level.OK:
        print(f"         -> {finding.remedy}", flush=True)
