"""For each guard a case that is well with it and goes wrong without it. `python -m` prints docs/counterexamples.md."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.protocol.explorer import explore
from tests.unit.protocol.queue_logs import Queued, QueueLog, session
from tests.unit.protocol.world import Budget, Guard

NO_FAULT = Budget(crashes=0, pauses=0, evictions=0, revocations=0, leaves=0, unknown_commits=0)
ONE = tuple(session("A", 0))
TWO = tuple(session("AB", 0))
#: The dispatcher was killed between its append and its commit.
OWN_REPEAT = (*ONE, *ONE)
UPSTREAM_REPEAT = tuple(session("AA", 0))
#: The first session's A was lost, its B was not; the second sends both.
HOLE = (Queued("B", 1, 0), *TWO)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    guard: Guard
    log: QueueLog
    budget: Budget
    #: Left out in both runs: a second guard that would hide the first one's absence.
    also_without: tuple[Guard, ...] = ()


CASES = (
    Case(guard=Guard.FENCE, log=ONE, budget=NO_FAULT._replace(evictions=1)),
    Case(guard=Guard.BUFFER_DROP, log=ONE, budget=NO_FAULT._replace(revocations=1)),
    Case(guard=Guard.QUIET_AFTER_LEAVING, log=ONE, budget=NO_FAULT._replace(leaves=2)),
    Case(guard=Guard.HAND_OVER_CHECK, log=ONE, budget=NO_FAULT._replace(pauses=1)),
    Case(guard=Guard.READ_ORDER, log=ONE, budget=NO_FAULT._replace(crashes=1)),
    Case(guard=Guard.METADATA_CHECK, log=ONE, budget=NO_FAULT._replace(evictions=1, unknown_commits=1)),
    # However late the repeat is: the window has forgotten by then.
    Case(
        guard=Guard.VECTOR,
        log=OWN_REPEAT,
        budget=NO_FAULT._replace(revocations=1),
        also_without=(Guard.WINDOW,),
    ),
    Case(guard=Guard.PREVIOUS_OFFSET, log=HOLE, budget=NO_FAULT),
    Case(guard=Guard.WINDOW, log=UPSTREAM_REPEAT, budget=NO_FAULT._replace(revocations=1)),
    Case(guard=Guard.MARK_ORDER, log=ONE, budget=NO_FAULT._replace(pauses=1)),
    Case(guard=Guard.LOOK_ORDER, log=ONE, budget=NO_FAULT._replace(looks=1)),
)

_HEAD = """# Counterexamples

What happens when one guard of the protocol is left out: the shortest way to a broken promise that the exhaustive
exploration finds (tests/unit/protocol). The exploration makes its decisions with the product's own functions. Written
by `python -m tests.unit.protocol.counterexamples`; a test keeps this page as the exploration finds it.
"""


def page() -> str:
    return "\n".join([_HEAD, *(_section(case) for case in CASES)])


def _section(case: Case) -> str:
    broken = explore(case.log, case.budget, case.guard, *case.also_without).broken
    assert broken is not None, case.guard
    log = ", ".join(f"{each.request_id} (intake {each.intake})" for each in case.log)
    steps = "\n".join(f"{number}. {name}" for number, name in enumerate(broken.trace, 1))
    return (
        f"## Without: {case.guard.value}\n\nIn the queue: {log}.\n\n{steps}\n\n**{broken.promise[0].upper()}"
        f"{broken.promise[1:]}.**\n"
    )


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
