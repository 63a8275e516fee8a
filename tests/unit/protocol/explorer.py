"""Breadth first through every world that can be reached; the first broken promise is told with its shortest trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.unit.protocol.queue_logs import QueueLog
from tests.unit.protocol.steps import LOST, Protocol
from tests.unit.protocol.world import Budget, Guard, Step, World, beginning, delivery_state


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    promise: str
    trace: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explored:
    worlds: int
    broken: Broken | None


def explore(log: QueueLog, budget: Budget, *dropped: Guard) -> Explored:
    """Exhaustive within the budget; ends at the first broken promise of safety, then looks at liveness."""
    graph = _Graph(beginning(budget))
    protocol = Protocol(log, frozenset(dropped))
    while graph.todo:
        at = graph.todo.popleft()
        world = graph.worlds[at]
        for step in protocol.steps(world):
            promise = _broken_by(log, world, step)
            if promise:
                return Explored(worlds=len(graph.worlds), broken=graph.told(promise, at, step.name))
            graph.add(at, step)
    stuck = graph.last_without_way_to(lambda world: _unjudged(log, world) is None)
    if stuck is None:
        return Explored(worlds=len(graph.worlds), broken=None)
    promise = f"{_unjudged(log, graph.worlds[stuck])} never gets a verdict"
    return Explored(worlds=len(graph.worlds), broken=graph.told(promise, stuck))


class _Graph:
    """Worlds by number, in the order in which they were found; how each was reached first, and by which others without
    a fault."""

    def __init__(self, first: World) -> None:
        self.worlds = [first]
        self.todo = deque([0])
        self._numbers = {first: 0}
        self._found_from: list[tuple[int, str] | None] = [None]
        self._before: list[list[int]] = [[]]

    def add(self, at: int, step: Step) -> None:
        number = self._numbers.get(step.world)
        if number is None:
            number = self._numbers[step.world] = len(self.worlds)
            self.worlds.append(step.world)
            self._found_from.append((at, step.name))
            self._before.append([])
            self.todo.append(number)
        if not step.fault:
            self._before[number].append(at)

    def last_without_way_to(self, done: Callable[[World], bool]) -> int | None:
        """When no fault happens any more, and whatever can happen does happen in the end.

        Of all such worlds the one that was found last: its trace tells most.
        """
        leads = bytearray(len(self.worlds))
        todo = [number for number, world in enumerate(self.worlds) if done(world)]
        while todo:
            number = todo.pop()
            if not leads[number]:
                leads[number] = 1
                todo += self._before[number]
        return leads.rfind(0) if 0 in leads else None

    def told(self, promise: str, at: int, last: str | None = None) -> Broken:
        names = [] if last is None else [last]
        while (found := self._found_from[at]) is not None:
            at, name = found
            names.append(name)
        return Broken(promise=promise, trace=tuple(reversed(names)))


def _broken_by(log: QueueLog, before: World, step: Step) -> str | None:
    after = step.world
    if len(after.starts) > len(before.starts):
        offset = after.starts[-1]
        if any(log[each].request_id == log[offset].request_id for each in before.starts):
            return f"{log[offset].request_id} is started twice"
        if delivery_state(before.runs, offset).verdict is not None:
            return f"offset {offset} is started after its verdict"
    if len(after.runs) > len(before.runs):
        record = after.runs[-1]
        if record.kind == LOST and any(offset == record.offset for _, offset in after.running):
            return f"offset {record.offset} is declared lost while it runs"
    if len(after.found) > len(before.found):
        return f"the reconciler finds {after.found[-1]}, which is in good hands"
    return None


def _unjudged(log: QueueLog, world: World) -> str | None:
    """A RequestId of which no delivery has a verdict."""
    judged = {log[each.offset].request_id for each in world.runs if each.kind != "started"}
    return next((each.request_id for each in log if each.request_id not in judged), None)
