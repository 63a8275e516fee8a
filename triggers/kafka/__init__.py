from triggers.kafka.adapter import KafkaTrigger, KafkaTriggers
from triggers.kafka.settings import Cluster

__all__ = ["Cluster", "KafkaTrigger", "KafkaTriggers"]
