from processor.cli.app import main

__all__ = ["main"]
