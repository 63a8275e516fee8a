from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from processor.core.clock import Clock
from processor.transport.abstract import TopicPartition
from processor.transport.embedded.assignment import assign
from processor.transport.embedded.bell import Bell
from processor.transport.embedded.store import LogStore


class Member:
    """One membership, from joining to leaving or eviction; a consumer that comes back gets a new one. Guarded by the
    coordinator's lock.
    """

    def __init__(self, group: str, topics: frozenset[str], bell: Bell) -> None:
        self.group = group
        self.topics = topics
        self.bell = bell
        self.alive = True
        #: Inside a call of poll, which may take long: it does not expire there.
        self.busy = False
        self.seen_sec = 0.0
        #: What its listener has been told, or is just being told.
        self.owned: set[TopicPartition] = set()
        self.target: set[TopicPartition] = set()
        #: Owned, of a topic that was deleted: to be revoked even if a topic of the same name has taken its place.
        self.stale: set[TopicPartition] = set()


class _Group:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self.owners: dict[TopicPartition, Member] = {}
        self.targets: dict[TopicPartition, Member] = {}


class Coordinator:
    """Who is a member of which group, and who owns what: the rules of KIP-848, in memory. Thread-safe.

    A partition goes to its next owner only after its old one has released it, or was evicted or left. Members are
    gone after a restart; committed offsets are not (offsets.py).
    """

    def __init__(self, store: LogStore, session_timeout_sec: float, clock: Clock) -> None:
        self._store = store
        self._session_timeout_sec = session_timeout_sec
        self._clock = clock
        self._groups: dict[str, _Group] = {}
        #: Held while a commit is admitted and queued: an eviction comes wholly before or wholly after.
        self.lock = threading.RLock()

    def join(self, group: str, topics: frozenset[str], bell: Bell) -> Member:
        with self.lock:
            member = Member(group, topics, bell)
            member.busy = True
            self._evict(self._group(group))
            self._group(group).members.append(member)
            self._retarget(self._group(group))
            return member

    def subscribe(self, member: Member, topics: frozenset[str]) -> None:
        with self.lock:
            member.topics = topics
            self._retarget(self._group(member.group))

    def leave(self, member: Member) -> None:
        with self.lock:
            if member.alive:
                self._remove(self._group(member.group), member)

    def begin_call(self, member: Member) -> bool:
        """The member is here; whoever is not, and has not been for the session's time, is evicted. False when that
        has happened to this member before.
        """
        with self.lock:
            member.busy = True
            self._evict(self._group(member.group))
            return member.alive

    def end_call(self, member: Member) -> None:
        with self.lock:
            member.seen_sec = self._clock.boottime()
            member.busy = False

    def expiry_sec(self, member: Member) -> float:
        """In how many seconds the next other member expires, if it is not heard of."""
        with self.lock:
            seen = [each.seen_sec for each in self._group(member.group).members if not each.busy]
            now_sec = self._clock.boottime()
            return max(min(seen, default=now_sec) + self._session_timeout_sec - now_sec, 0.0)

    def to_revoke(self, member: Member) -> frozenset[TopicPartition]:
        with self.lock:
            return frozenset((member.owned - member.target) | member.stale)

    def release(self, member: Member, partitions: Collection[TopicPartition]) -> None:
        with self.lock:
            group = self._group(member.group)
            member.owned.difference_update(partitions)
            member.stale.difference_update(partitions)
            for partition in partitions:
                if group.owners.get(partition) is member:
                    del group.owners[partition]
            _ring(group.members)

    def take(self, member: Member) -> frozenset[TopicPartition]:
        """What it shall own and nobody else holds any more; from now on it owns that."""
        with self.lock:
            owners = self._group(member.group).owners
            free = frozenset(each for each in member.target - member.owned if each not in owners)
            owners.update(dict.fromkeys(free, member))
            member.owned |= free
            return free

    def admits(self, group: str, member: Member | None) -> bool:
        """Whether a commit is taken; asked under the lock. A live member may commit anything. One without membership
        may while the group is empty, so that offsets can be set from outside.
        """
        if member is None:
            return not self._group(group).members
        member.seen_sec = self._clock.boottime()
        return member.alive

    def topics_changed(self, *, deleted: str = "") -> None:
        with self.lock:
            for group in self._groups.values():
                for member in group.members:
                    member.stale |= {each for each in member.owned if each.topic == deleted}
                self._retarget(group)

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def _evict(self, group: _Group) -> None:
        oldest_sec = self._clock.boottime() - self._session_timeout_sec
        for each in [each for each in group.members if not each.busy and each.seen_sec < oldest_sec]:
            self._remove(group, each)

    def _remove(self, group: _Group, member: Member) -> None:
        member.alive = False
        group.members.remove(member)
        group.owners = {each: owner for each, owner in group.owners.items() if owner is not member}
        self._retarget(group)
        member.bell.ring()

    def _retarget(self, group: _Group) -> None:
        subscriptions = {each: each.topics for each in group.members}
        wanted = frozenset().union(*subscriptions.values()) if subscriptions else frozenset()
        topics = self._store.topics()
        partitions = [each.name for name in wanted if name in topics for each in topics[name].partitions]
        group.targets = assign(partitions, subscriptions, group.targets)
        for member in group.members:
            member.target = {each for each, owner in group.targets.items() if owner is member}
        _ring(group.members)


def _ring(members: Iterable[Member]) -> None:
    for member in members:
        member.bell.ring()
