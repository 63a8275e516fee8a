from triggers.http.adapter import HttpTriggers
from triggers.http.declared import is_called
from triggers.http.listener import Listener
from triggers.http.storage_webhook import StorageWebhooks

__all__ = ["HttpTriggers", "Listener", "StorageWebhooks", "is_called"]
