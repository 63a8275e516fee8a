"""Killing process trees and groups, seen from a process that is nothing but their reaper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.executor import hierarchy
from processor.executor.containment import Containment, NoControlGroups
from processor.executor.runtime import groups, linux, marks, tree
from processor.executor.runtime.groups import Group, Groups

LIMIT_SEC = 20.0
#: Deeper than Python calls itself.
DEPTH = 1_100
#: Not by forks alone: each fork in a chain of them takes the kernel longer than the one before.
CHAIN = 'if [ "$1" -gt 0 ]; then sh -c "$0" "$0" $(($1 - 1)) & wait; else echo there; exec sleep 1000; fi'


def in_reaper(work: Callable[[], bool]) -> bool:
    """In a child that adopts all orphans below it, as a zygote does."""
    pid = os.fork()
    if pid == 0:
        try:
            linux.adopt_orphans()
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def sleeping_chain(depth: int) -> None:
    """Processes of which each is the child of the one before. Returns when the last one is there."""
    there, say = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, say, 1)]
    os.posix_spawnp("sh", ["sh", "-c", CHAIN, CHAIN, str(depth)], os.environ, file_actions=actions)
    os.read(there, 1)


def test_a_chain_deeper_than_python_may_recurse_is_swept() -> None:
    def work() -> bool:
        sleeping_chain(DEPTH)
        return tree.sweep((), LIMIT_SEC) and tree.children(os.getpid()) == []

    assert in_reaper(work)


def test_known_children_are_neither_killed_nor_reaped() -> None:
    def work() -> bool:
        known = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
        sleeping_chain(3)
        swept = tree.sweep({known}, LIMIT_SEC)
        os.kill(known, signal.SIGKILL)
        return swept and os.waitpid(known, 0) == (known, signal.SIGKILL)

    assert in_reaper(work)


def test_a_sweep_leaves_its_process_at_ordinary_priority() -> None:
    def work() -> bool:
        with linux.hurry():
            pass
        return os.sched_getscheduler(0) == os.SCHED_OTHER

    assert in_reaper(work)


def test_marked_processes_are_killed_whoever_their_parent_is(tmp_path: Path) -> None:
    script = "import os; os.fork() or os.setsid(); print(flush=True); import time; time.sleep(1000)"
    env = {**os.environ, "TMPDIR": f"{tmp_path}/z1"}
    other = {**os.environ, "TMPDIR": f"{tmp_path}-2/z1"}
    with (
        subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE) as marked,
        subprocess.Popen(["sleep", "1000"], env=other) as stranger,
    ):
        assert marked.stdout is not None
        marked.stdout.readline()
        marked.stdout.readline()
        try:
            assert marks.kill_all(str(tmp_path), LIMIT_SEC)
            assert marked.wait(LIMIT_SEC) == -signal.SIGKILL
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.fixture
def made() -> Iterator[Groups]:
    try:
        found = Containment.CGROUP.groups(f"test-{os.getpid()}", 8)
    except NoControlGroups as reason:
        pytest.skip(f"the host has no cgroup v2 that this user may write to: {reason}")
    yield found
    found.whole.end(LIMIT_SEC)


def member_of(group: Group) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            group.join()
            os.setsid()
            for _ in range(3):
                os.fork()
            signal.pause()
        finally:
            os._exit(1)
    return pid


def test_a_group_ends_with_all_its_processes_and_groups_inside(made: Groups) -> None:
    group = made.below("z1").make("i2")
    (Path(group.kill_folder) / "a" / "b").mkdir(parents=True)
    pid = member_of(group)
    while group.is_empty():
        os.sched_yield()

    def reaped_and_gone() -> bool:
        os.waitpid(pid, 0)
        return group.end(LIMIT_SEC)

    group.kill()
    assert reaped_and_gone()
    assert not any(os.path.exists(each) for each in group.folders)


def test_a_group_that_is_gone_is_empty_and_can_be_ended_again(made: Groups) -> None:
    group = made.make("i1")
    assert group.end(0)
    assert group.is_empty()
    assert group.end(0)


def test_nothing_at_all_is_a_group_too() -> None:
    nothing = Groups().below("z1").make("i1")
    nothing.join()
    assert nothing.end(0)


def test_a_record_that_names_other_groups_than_its_pools_is_not_believed(tmp_path: Path) -> None:
    wanted = f"/cgroup/{groups.PREFIX}{tmp_path.name}"
    groups.record(Groups(kill_folder=wanted, limit_folder=wanted), str(tmp_path))
    assert groups.recorded(str(tmp_path)) == Group(wanted, wanted)
    groups.record(Groups(kill_folder="/cgroup/system.slice"), str(tmp_path))
    assert groups.recorded(str(tmp_path)) == Group()
    (tmp_path / groups.RECORD).unlink()
    assert groups.recorded(str(tmp_path)) == Group()


V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
HYBRID = (
    "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)
CONTAINER = "33 30 0:28 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"


@pytest.mark.parametrize(
    ("members", "mounts", "kind", "controller", "folder"),
    [
        ("0::/system.slice/headrace.service\n", V2, "cgroup2", "", "/sys/fs/cgroup/system.slice/headrace.service"),
        ("0::/\n", V2, "cgroup2", "", "/sys/fs/cgroup"),
        ("3:pids:/a\n0::/b\n", HYBRID, "cgroup2", "", "/sys/fs/cgroup/unified/b"),
        ("3:pids:/a\n0::/b\n", HYBRID, "cgroup", "pids", "/sys/fs/cgroup/pids/a"),
        ("3:cpu,pids:/docker/abc/x\n", CONTAINER, "cgroup", "pids", "/sys/fs/cgroup/pids/x"),
        ("3:pids:/docker/abcdef\n", CONTAINER, "cgroup", "pids", None),
        ("0::/b\n", HYBRID, "cgroup", "pids", None),
        ("0::/\n", "", "cgroup2", "", None),
    ],
)
def test_the_group_of_a_process_is_found_in_every_kind_of_set_up(
    members: str, mounts: str, kind: str, controller: str, folder: str | None
) -> None:
    assert hierarchy.own_group(members, mounts, kind, controller) == folder
