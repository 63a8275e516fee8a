from triggers.schedule.adapter import ScheduleTrigger, ScheduleTriggers
from triggers.schedule.settled import SettledTimes

__all__ = ["ScheduleTrigger", "ScheduleTriggers", "SettledTimes"]
