"""CloudEvents 1.0.2 on Kafka and HTTP, in the JSON format. Pure; undecodable input is a value, never an exception."""

from processor.core.codec.attributes import Malformed, Unencodable
from processor.core.codec.http import HttpMode, decode_http, decode_http_batch, http_mode
from processor.core.codec.json_format import STRUCTURED_CONTENT_TYPE, decode_structured, encode_structured
from processor.core.codec.kafka import decode_kafka

__all__ = [
    "STRUCTURED_CONTENT_TYPE",
    "HttpMode",
    "Malformed",
    "Unencodable",
    "decode_http",
    "decode_http_batch",
    "decode_kafka",
    "decode_structured",
    "encode_structured",
    "http_mode",
]
