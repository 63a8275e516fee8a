from __future__ import annotations

import logging

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Intent, Sign, SignKind, executor_name
from processor.core.topics import INFLIGHT, INSTANCES
from processor.recovery.procedure import Recovery
from processor.transport.abstract import Transport
from processor.transport.replay import read_to_end

log = logging.getLogger(__name__)

CALL_SEC = 10.0
READ_SEC = 60.0


def recover_earlier_incarnations(transport: Transport, clock: Clock, name: str) -> int:
    """Closes at once what earlier incarnations of this executor name left open; returns how many there were.

    Only while holding the lock of that name: executor and guard of an earlier one hold it until all their instances are
    gone, so nothing of them can run any more. Called before the first incarnation of this process begins. Blocks.
    """
    earlier = _earlier(transport, clock, name)
    if earlier:
        recovery = Recovery(transport, clock, f"{name}#boot")
        recovery.declare(dict.fromkeys(sorted(earlier)))
        left = recovery.close_claims(earlier)
        log.warning(
            "recovered %d earlier incarnations of %s: %d runs closed, %d claims left to recovery",
            len(earlier),
            name,
            recovery.counts.closed,
            left,
            extra={"action": "boot_recovery"},
        )
    return len(earlier)


def _earlier(transport: Transport, clock: Clock, name: str) -> set[str]:
    """Executors of this name that ever beat, or hold an intent, and were neither declared dead nor stopped in order."""
    reader = transport.reader()
    beating: set[str] = set()
    dead: set[str] = set()
    holding: dict[bytes, str] = {}
    try:
        signs = reader.partitions(INSTANCES.name, CALL_SEC)
        for record in read_to_end(reader, signs, clock, timeout_sec=READ_SEC):
            kind, _, process = (record.key or b"").decode("utf-8", "replace").partition(" ")
            if kind == SignKind.DEAD.value:
                dead.add(process)
            elif record.value is None:
                beating.discard(process)
            elif _is_executor(record.value):
                beating.add(process)
        for record in read_to_end(reader, reader.partitions(INFLIGHT.name, CALL_SEC), clock, timeout_sec=READ_SEC):
            _note_intent(holding, record.key or b"", record.value)
    finally:
        reader.close()
    known = (beating - dead) | set(holding.values())
    return {each for each in known if executor_name(each) == name}


def _is_executor(value: bytes) -> bool:
    try:
        return Sign.decode(value).role == "executor"
    except Undecodable:
        return False


def _note_intent(holding: dict[bytes, str], key: bytes, value: bytes | None) -> None:
    if value is None:
        holding.pop(key, None)
        return
    try:
        holding[key] = Intent.decode(value).executor
    except Undecodable as error:
        log.warning("an intent cannot be read: %s", error, extra={"action": "recovery_undecodable"})
