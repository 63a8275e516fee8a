"""The JSON Schema of functions.yaml: `python -m processor.registry.manifest_schema > config/functions.schema.json`."""

from __future__ import annotations

import sys

import orjson

from processor.registry.manifest_model import ManifestDocument


def schema_text() -> str:
    schema = ManifestDocument.model_json_schema()
    schema["properties"]["functions"]["additionalProperties"] = False  # a name that does not match is no function
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Headrace functions.yaml"}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


if __name__ == "__main__":
    sys.stdout.write(schema_text())
