from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from examples.storage.uploads import record_upload
from processor.registry.manifest_triggers.storage import StorageTrigger
from tests.unit.storage_notices import AWS, records
from triggers.object_storage.notification import parse
from triggers.object_storage.rules import StorageRules


def test_the_example_writes_a_line_for_each_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_DIR", str(tmp_path))
    (event,) = parse(orjson.dumps(records(AWS)), StorageRules(bucket="pics", event_format="data")).events
    assert record_upload(orjson.loads(event.data or b""), None)["object"] == "pics/in/a b+c.png"
    assert orjson.loads((tmp_path / "uploads.jsonl").read_bytes())["version"] == "v1"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"provider": "azure", "reconcile": {}}, "azure has none"),
        ({"reconcile": {"access_key_env": "A"}}, "half of a pair"),
        ({"source": {"sqs": {"queue_url": "http://q/0/u", "secret_key_env": "A"}}}, "half of a pair"),
        ({"source": {"webhook": {"path": "/x", "window": "2h"}}}, "1h"),
        ({"reconcile": {"max_age": "30d"}}, "29d"),
        ({"source": {"sqs": {"queue_url": "http://q/0/u", "pollers": 0}}}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_told_in_the_manifest(more: dict[str, object], message: str) -> None:
    base = {"bucket": "b", "source": {"sqs": {"queue_url": "http://q/0/u"}}}
    assert StorageTrigger.model_validate(base)
    with pytest.raises(ValueError, match=message):
        StorageTrigger.model_validate({**base, **more})


def test_what_a_manifest_says_reaches_the_rules() -> None:
    from triggers.abstract import Binding

    written = {"bucket": "b", "provider": "minio", "key_encoding": "none", "alias": "lab", "prefix": "p", "suffix": "s"}
    settings = StorageTrigger.model_validate({**written, "source": {"webhook": {"path": "/x"}}}).model_dump()
    rules = StorageRules.of(Binding(function="f", creation=1, kind="storage", settings=settings))
    assert (rules.bucket, rules.alias, rules.prefix, rules.suffix) == ("b", "lab", "p", "s")
    assert rules.provider is not None
    assert rules.key_encoding is not None
    assert rules.event_format == "cloudevents"
