from processor.transport.embedded.transport import EmbeddedTransport

__all__ = ["EmbeddedTransport"]
