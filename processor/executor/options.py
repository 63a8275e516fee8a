from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from processor.executor.containment import Containment
from processor.executor.deadline import EndPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolOptions:
    #: Instances and zygotes have their temporary folders below it.
    data_dir: Path
    #: Runs at the same time, all functions together.
    slots: int = 2
    #: Living instances, idle ones included; beyond it the one idle for longest makes room. None: twice the slots.
    max_instances: int | None = None
    end: EndPolicy = field(default_factory=EndPolicy)
    #: For importing a function's module.
    init_limit_sec: float = 10.0
    #: Instances, and zygotes without instances, that had nothing to do for this long are ended.
    idle_sec: float = 300.0
    #: Without a life sign of the executor for this long the guard kills everything.
    pet_limit_sec: float = 10.0
    containment: Containment = Containment.AUTO
    #: Of one instance, at the same time; threads count where control groups do the counting.
    max_processes: int = 1024
    #: A descriptor of the executor's name lock, for the guard to hold until no process of a function is left.
    lock_fd: int | None = None

    @property
    def instance_limit(self) -> int:
        return 2 * self.slots if self.max_instances is None else max(self.max_instances, self.slots)
