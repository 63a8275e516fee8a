from triggers.sqs.adapter import SqsTrigger, SqsTriggers

__all__ = ["SqsTrigger", "SqsTriggers"]
