from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Self
from zoneinfo import ZoneInfo

from processor.core.cron import Timetable, name_of, parse
from processor.core.errors import HeadraceError
from triggers.abstract import Binding

#: Of a manifest that says nothing about it.
GRACE_SEC = 60.0
MAX_CATCHUP = 100


class UnknownZone(HeadraceError):
    """This machine does not know the time zone of the schedule."""

    remedy = "Install the tz database of the system (or the Python package tzdata), or use a zone of this machine."

    def __init__(self, name: str) -> None:
        super().__init__(f"this machine does not know the time zone {name!r}")
        self.name = name


class Missed(Enum):
    SKIP = "skip"
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What becomes of times that have passed unfired."""

    missed: Missed = Missed.LAST
    #: Late by up to this is not missed; its jitter included.
    grace_sec: float = GRACE_SEC
    max_catchup: int = MAX_CATCHUP


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """One entry `schedule` of a function's events."""

    #: Names it on the `schedules` topic and in the identity of its events.
    schedule_id: str
    name: str
    timetable: Timetable
    zone: ZoneInfo
    policy: Policy
    jitter_sec: float
    argument: Any
    event_format: str

    @classmethod
    def of(cls, binding: Binding) -> Self:
        """Raises BadCron, UnknownZone: a manifest of another version, or of a machine that knows more zones."""
        settings = binding.settings
        zone = _zone(str(settings.get("timezone", "UTC")))
        jitter_sec = float(settings.get("jitter", 0.0))
        name = settings.get("name") or name_of(str(settings["cron"]), zone.key)
        return cls(
            schedule_id=f"{binding.function}.{binding.creation}/{name}",
            name=name,
            timetable=Timetable(parse(str(settings["cron"])), zone),
            zone=zone,
            policy=Policy(
                missed=Missed(settings.get("missed", "last")),
                grace_sec=float(settings.get("grace", GRACE_SEC)) + jitter_sec,
                max_catchup=int(settings.get("max_catchup", MAX_CATCHUP)),
            ),
            jitter_sec=jitter_sec,
            argument=settings.get("argument"),
            event_format=binding.event_format,
        )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UnknownZone(name) from error
