from triggers.folder.adapter import FolderTrigger, FolderTriggers
from triggers.folder.seen import FolderSeen

__all__ = ["FolderSeen", "FolderTrigger", "FolderTriggers"]
