from processor.core.cron.expression import BadCron, CronExpression, parse
from processor.core.cron.name import name_of
from processor.core.cron.timetable import Timetable

__all__ = ["BadCron", "CronExpression", "Timetable", "name_of", "parse"]
