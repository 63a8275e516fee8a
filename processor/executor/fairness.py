from __future__ import annotations

from collections.abc import Mapping, Sequence


class Turns:
    """Whose records are claimed next: deficit round robin over functions.

    Each turn a function is credited the same share of work; a function whose runs are long spends it on fewer of
    them. A million waiting events of one function thus cost another function one turn, not its place in a line.
    """

    def __init__(self) -> None:
        self._order: list[str] = []
        self._credit: dict[str, float] = {}

    def share(self, wants: Mapping[str, int], costs: Mapping[str, float], room: int) -> dict[str, int]:
        """How many records each function may claim now, at most `room` together.

        wants: how many each could claim (its buffer, its own limits); costs: expected seconds of one run.
        """
        self._enroll(wants)
        granted = dict.fromkeys(wants, 0)
        while room > 0:
            open_names = [name for name in self._order if granted.get(name, 0) < wants.get(name, 0)]
            if not open_names:
                break
            room -= self._turn(open_names, wants, costs, granted, room)
        return {name: count for name, count in granted.items() if count}

    def _turn(
        self,
        names: Sequence[str],
        wants: Mapping[str, int],
        costs: Mapping[str, float],
        granted: dict[str, int],
        room: int,
    ) -> int:
        quantum = max(costs[name] for name in names)
        used = 0
        for name in names:
            credit = self._credit.get(name, 0.0) + quantum
            affordable = max(int(credit / costs[name]), 0)
            take = min(affordable, wants[name] - granted[name], room - used)
            granted[name] += take
            used += take
            # Unused credit does not pile up while a function has nothing to claim or no room to claim it in.
            self._credit[name] = min(credit - take * costs[name], quantum)
            if take:
                self._order.remove(name)
                self._order.append(name)
        return used

    def _enroll(self, wants: Mapping[str, int]) -> None:
        for name in wants:
            if name not in self._credit:
                self._order.append(name)
                self._credit[name] = 0.0
        if len(self._order) > 2 * len(wants) + 16:
            self._order = [name for name in self._order if name in wants]
            self._credit = {name: self._credit[name] for name in self._order}
