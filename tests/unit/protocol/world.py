"""What the protocol consists of when everything but its decisions is taken away. Values only; see `steps`.

One queue partition, two executors, a coordinator, recovery. What a decision is made with is the product's own code:
Vector, CommitTag, settle, decide, fold, DeathWatch, OpenRuns and suspects.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import NamedTuple

from processor.core.claims import CommitTag, Stamp, Vector
from processor.core.inflight import Intent, Sign, SignKind
from processor.core.ledger import DeliveryState, Ended, Position, Started, fold_all
from processor.core.lifesigns import DeathWatch
from processor.core.run import Delivery, StatusCode
from tests.unit.protocol.queue_logs import Queued

INTAKE_ID = "intake"
#: Highest intake offset taken; None = the vector is empty.
Highest = int | None


class Guard(Enum):
    """What the protocol must not do without: dropping any of these has to show a counterexample."""

    FENCE = "the coordinator refuses who was evicted"
    BUFFER_DROP = "a revoked partition's buffer is dropped before it changes hands"
    QUIET_AFTER_LEAVING = "who has left commits nothing"
    HAND_OVER_CHECK = "nothing starts after a silence until the dead marks were read"
    READ_ORDER = "recovery reads the commit, then the intents, then the ledger"
    METADATA_CHECK = "an unknown commit is ours only if its metadata is"
    VECTOR = "the vector travels with the commit"
    PREVIOUS_OFFSET = "a record after a hole is passed over"
    WINDOW = "the window is rebuilt on assignment"
    MARK_ORDER = "a dead mark counts only if no heartbeat stands between it and the silence"
    LOOK_ORDER = "the reconciler reads the commits before the intents"


class Place(Enum):
    """Of an executor in the group, as the coordinator sees it."""

    IN = "member"
    EVICTED = "evicted"
    LEFT = "left"


class Phase(Enum):
    """How far an executor is with the record in its hands."""

    IDLE = "idle"
    INTENT = "intent written"
    REFUSED = "commit refused, to poll before anything else"
    UNKNOWN = "commit unknown"
    COMMITTED = "committed"
    STARTED = "started written"
    CHECKED = "life signs checked"


class Tag(NamedTuple):
    executor: int
    batch: int
    highest: Highest


class Claim(NamedTuple):
    """What a commit is about: the record taken (None: only repeats were passed), and the place after it."""

    taken: int | None
    next_offset: int
    tag: Tag


class Executor(NamedTuple):
    alive: bool = True
    paused: bool = False
    #: It was silent, and has not read the dead marks since.
    gap: bool = False
    #: Since that silence a heartbeat has landed.
    beat: bool = False
    #: Its guard has killed its instances, and it has not noticed yet.
    guarded: bool = False
    #: It could not tell whose a claim is: it claims no more, and ends what it runs.
    retired: bool = False
    place: Place = Place.LEFT
    #: The next offset of its buffer; None = it holds no partition.
    at: int | None = None
    highest: Highest = None
    window: frozenset[str] = frozenset()
    phase: Phase = Phase.IDLE
    claim: Claim | None = None
    batch: int = 0


class OpenIntent(NamedTuple):
    executor: int
    offset: int
    batch: int
    #: Recovery decides although its executor lives.
    abandoned: bool = False


class RecoveryRead(NamedTuple):
    """One intent of a dead executor under recovery's eyes, and what it has read so far."""

    intent: OpenIntent
    committed: tuple[int, Tag | None] | None = None
    claimed_by_other: bool | None = None


class Look(NamedTuple):
    """What the reconciler has read so far; intents before commits only where that guard is left out."""

    committed: tuple[int, Tag | None] | None = None
    #: Offsets that run by the ledger as it was then.
    begun: frozenset[int] = frozenset()
    intents: frozenset[OpenIntent] | None = None


class RunRecord(NamedTuple):
    #: "started" or the status code of a verdict.
    kind: str
    executor: int
    offset: int


class Budget(NamedTuple):
    """How often each fault may still happen."""

    crashes: int = 1
    pauses: int = 1
    evictions: int = 1
    revocations: int = 1
    leaves: int = 1
    unknown_commits: int = 1
    #: No faults: commits of an offset that has not moved, and looks of the reconciler.
    renewals: int = 0
    looks: int = 0


class World(NamedTuple):
    executors: tuple[Executor, ...]
    budget: Budget
    committed: tuple[int, Tag | None] | None = None
    owner: int | None = None
    #: Commits on their way whose sender has given up waiting.
    late: frozenset[tuple[int, Claim]] = frozenset()
    intents: frozenset[OpenIntent] = frozenset()
    runs: tuple[RunRecord, ...] = ()
    running: frozenset[tuple[int, int]] = frozenset()
    #: Ended, with the verdict still to be written.
    ending: frozenset[tuple[int, int]] = frozenset()
    starts: tuple[int, ...] = ()
    #: By a mark that counts.
    dead: frozenset[int] = frozenset()
    #: By any mark: for itself each of them is final.
    marked: frozenset[int] = frozenset()
    #: Recovery has read a silence that is long enough, and writes the mark next; and who has beaten since then.
    judged: frozenset[int] = frozenset()
    beaten: frozenset[int] = frozenset()
    look: Look | None = None
    #: RequestIds that the reconciler found.
    found: tuple[str, ...] = ()
    recovery: RecoveryRead | None = None


class Step(NamedTuple):
    name: str
    world: World
    fault: bool = False


def beginning(budget: Budget, executors: int = 2) -> World:
    return World(executors=tuple(Executor() for _ in range(executors)), budget=budget)


@cache
def stamp(record: Queued) -> Stamp:
    previous = None if record.previous is None else (0, record.previous)
    return Stamp("f", "v", INTAKE_ID, Position(0, 0, record.intake), previous, "data", 0)


@cache
def vector(highest: Highest) -> Vector:
    return Vector() if highest is None else Vector(INTAKE_ID, {0: (0, highest)})


@cache
def takes(highest: Highest, record: Queued) -> bool:
    return vector(highest).takes(stamp(record))


@cache
def has_passed(highest: Highest, record: Queued) -> bool:
    return vector(highest).has_passed(stamp(record))


@cache
def commit_tag(tag: Tag) -> CommitTag:
    return CommitTag(executor=str(tag.executor), batch=tag.batch, vector=vector(tag.highest))


@cache
def delivery(offset: int) -> Delivery:
    return Delivery("queue", 0, offset)


@cache
def intent(opened: OpenIntent, request_id: str = "r") -> Intent:
    return Intent(
        executor=str(opened.executor),
        request_id=request_id,
        function="f",
        delivery=delivery(opened.offset),
        batch=opened.batch,
        abandoned=opened.abandoned,
    )


@cache
def mark_counts(*, beaten: bool) -> bool:
    """What the product makes of a mark, with or without a heartbeat after the silence that it is about."""
    watch = DeathWatch("recovery")
    for offset in range(1 + beaten):
        watch.observe(Sign(kind=SignKind.HEARTBEAT, process="e", role="executor", at_ms=0), offset)
    mark = Sign(kind=SignKind.DEAD, process="e", role="executor", at_ms=0, by="recovery", after=0)
    watch.observe(mark, 2)
    return "e" in watch.dead()


def claimed_by_other(world: World, opened: OpenIntent) -> bool:
    return any(each.offset == opened.offset and each.executor != opened.executor for each in world.intents)


def delivery_state(runs: tuple[RunRecord, ...], offset: int) -> DeliveryState:
    return _folded(tuple(each for each in runs if each.offset == offset))


@cache
def _folded(runs: tuple[RunRecord, ...]) -> DeliveryState:
    return fold_all(_ledger_record(each) for each in runs)


def _ledger_record(record: RunRecord) -> Started | Ended:
    at, who = delivery(record.offset), str(record.executor)
    if record.kind == "started":
        return Started(request_id="r", function="f", delivery=at, executor=who, started_at_ms=0)
    return Ended(
        request_id="r", function="f", delivery=at, executor=who, status_code=StatusCode(int(record.kind)), ended_at_ms=0
    )
