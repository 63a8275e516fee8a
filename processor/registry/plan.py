from __future__ import annotations

from dataclasses import replace

from processor.core.function import KEPT_VERSIONS, Function, FunctionVersion
from processor.core.topics import QUEUE_PARTITIONS
from processor.registry.errors import AsyncExecutionLocked, DeployConflict
from processor.registry.spec import FunctionSpec


def plan_deploy(
    existing: Function | None,
    wanted: FunctionSpec,
    code_digest: str,
    *,
    creation: int = 1,
    expected_revision: int | None = None,
) -> Function:
    """The record that the deploy should write; `existing` itself when there is nothing to change.

    creation: used only when there is no such function. expected_revision: what the deployer saw; 0 = no function.
    Raises AsyncExecutionLocked, DeployConflict.
    """
    _check_revision(existing, wanted.name, expected_revision)
    version = wanted.version(code_digest)
    if existing is None:
        return _create(wanted, version, creation)
    if existing.async_execution != wanted.async_execution:
        raise AsyncExecutionLocked(wanted.name, existing.async_execution)
    planned = replace(existing, current=version, previous=_previous(existing, version), **wanted.settings())
    return existing if planned == existing else replace(planned, revision=existing.revision + 1)


def merge(seen: Function, newer: Function) -> Function:
    """`newer` as it is to be read after `seen`: two deployers that did not know of each other lose no version, because
    runs may be pinned to either.
    """
    if seen.creation != newer.creation or newer.revision > seen.revision:
        return newer
    known = (newer.current, *newer.previous)
    lost = tuple(each for each in (seen.current, *seen.previous) if each not in known)
    return replace(
        newer,
        previous=(*lost, *newer.previous)[:KEPT_VERSIONS],
        revision=max(seen.revision, newer.revision),
        # A deploy that did not know of a pause must not undo it: pausing is what one does in an emergency.
        paused=seen.paused or newer.paused,
    )


def _check_revision(existing: Function | None, name: str, expected: int | None) -> None:
    found = existing.revision if existing else 0
    if expected is not None and found != expected:
        raise DeployConflict(name, f"it has revision {found}, but the deploy is based on revision {expected}")


def _create(wanted: FunctionSpec, version: FunctionVersion, creation: int) -> Function:
    return Function(
        name=wanted.name,
        current=version,
        creation=creation,
        async_execution=wanted.async_execution,
        queue_partitions=min(QUEUE_PARTITIONS, wanted.concurrency),
        **wanted.settings(),
    )


def _previous(existing: Function, version: FunctionVersion) -> tuple[FunctionVersion, ...]:
    if version.version == existing.current.version:
        return existing.previous
    earlier = (existing.current, *existing.previous)
    return tuple(each for each in earlier if each.version != version.version)[:KEPT_VERSIONS]
