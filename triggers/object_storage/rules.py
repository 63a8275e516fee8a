from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from triggers.abstract import Binding
from triggers.object_storage.change import ObjectChange, Provider
from triggers.object_storage.keys import KeyEncoding

_VENDOR_PREFIXES = ("s3:", "cos:")
#: What an object that a listing found may have been made by.
_MAKERS = ("Put", "Post", "Copy", "CompleteMultipartUpload")


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageRules:
    """What one trigger wants of a bucket, and how the bucket's provider is to be understood."""

    bucket: str
    #: Kept without "s3:" and "cos:".
    patterns: tuple[str, ...] = ("ObjectCreated:*",)
    prefix: str = ""
    suffix: str = ""
    #: None: told by the notification.
    provider: Provider | None = None
    #: None: the provider's own.
    key_encoding: KeyEncoding | None = None
    #: Stands for the store in an event's source; None: the provider's family.
    alias: str | None = None
    event_format: str = "cloudevents"

    @classmethod
    def of(cls, binding: Binding) -> StorageRules:
        settings: Mapping[str, Any] = binding.settings
        provider, encoding = settings.get("provider"), settings.get("key_encoding")
        return cls(
            bucket=str(settings["bucket"]),
            patterns=tuple(settings.get("events") or ("ObjectCreated:*",)),
            prefix=settings.get("prefix") or "",
            suffix=settings.get("suffix") or "",
            provider=Provider(provider) if provider else None,
            key_encoding=KeyEncoding(encoding) if encoding else None,
            alias=settings.get("alias"),
            event_format=binding.event_format,
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", tuple(map(bare_name, self.patterns)))

    def wants(self, change: ObjectChange) -> bool:
        return (
            self.bucket in (change.bucket, *change.bucket_aliases)
            and self.wants_key(change.key)
            and self._wants_name(change)
        )

    def wants_key(self, key: str) -> bool:
        return key.startswith(self.prefix) and key.endswith(self.suffix)

    @property
    def wants_created(self) -> bool:
        """Whether objects that a listing finds are anything to this trigger."""
        return any(fnmatchcase(f"ObjectCreated:{maker}", each) for each in self.patterns for maker in _MAKERS)

    def _wants_name(self, change: ObjectChange) -> bool:
        names = (change.name, bare_name(change.original_name))
        return any(fnmatchcase(name, each) for each in self.patterns for name in names)


def bare_name(name: str) -> str:
    """Without "s3:" or "cos:", which the same provider writes in one place and leaves out in another."""
    for prefix in _VENDOR_PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name
