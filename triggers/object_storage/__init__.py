from triggers.object_storage.adapter import StorageTrigger, StorageTriggers
from triggers.object_storage.known import HistoryBehind, KnownObjects, ObjectRef

__all__ = ["HistoryBehind", "KnownObjects", "ObjectRef", "StorageTrigger", "StorageTriggers"]
