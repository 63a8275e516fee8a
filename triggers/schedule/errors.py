from __future__ import annotations

from processor.core.errors import HeadraceError


class SameSchedule(HeadraceError):
    """Two schedules of the function have the same times and no name, or the same name."""

    remedy = "Give each of them a `name` of its own: what they fire could not be told apart."

    def __init__(self, schedule_id: str) -> None:
        super().__init__(f"another schedule of this function has the same identity, {schedule_id}")
        self.schedule_id = schedule_id


class DecideAnew(HeadraceError):
    """What is to be fired was decided too long ago."""


class NotTaken(HeadraceError):
    """The function's rate has no room for what the schedule fires."""

    remedy = "Raise `rate` in the manifest, or fire less often. Nothing is lost: what is late goes by `missed`."


class ClockBehind(HeadraceError):
    """The clock of this machine shows a time before the last firing."""

    remedy = (
        "Set the clock right (NTP), here or where the firing came from. Nothing fires twice; firing goes on by itself "
        "when the clock gets there."
    )

    def __init__(self, behind_sec: float) -> None:
        super().__init__(f"the clock of this machine is {behind_sec:,.0f} s behind the last time that was fired")
        self.behind_sec = behind_sec


class ClockDiffers(HeadraceError):
    """The clock of this machine is not that of the log."""

    remedy = "Set the clocks right (NTP): schedules fire by the clock of this machine."

    def __init__(self, ahead_sec: float) -> None:
        direction = "ahead of" if ahead_sec > 0 else "behind"
        super().__init__(f"the clock of this machine is {abs(ahead_sec):,.1f} s {direction} that of the log")
        self.ahead_sec = ahead_sec


class NothingLeft(HeadraceError):
    """The schedule has no time left: its years are over."""

    remedy = "Remove it, or give it other years."
