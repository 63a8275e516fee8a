from __future__ import annotations

import hashlib
import uuid

from processor.core.request_id import is_request_id, partition_of, request_id


def test_the_request_id_is_a_pure_function_of_function_source_and_event_id() -> None:
    assert request_id("f", "s", "1") == request_id("f", "s", "1")
    assert len({request_id(f, s, i) for f in "ab" for s in "ab" for i in "ab"}) == 8


def test_the_parts_cannot_be_shifted_into_each_other() -> None:
    assert request_id("ab", "c", "d") != request_id("a", "bc", "d")


def test_the_request_id_is_a_uuid_version_8_of_the_rfc_variant() -> None:
    parsed = uuid.UUID(request_id("hello", "headrace:http/hello", "key"))
    assert parsed.version == 8
    assert parsed.variant == uuid.RFC_4122


def test_the_request_id_carries_the_first_122_bits_of_the_digest() -> None:
    digest = hashlib.sha256(b"f\0s\x001").digest()
    bits = int.from_bytes(digest, "big") >> (256 - 122)
    value = uuid.UUID(request_id("f", "s", "1")).int
    high, mid, low = value >> 80, (value >> 64) & 0xFFF, value & ((1 << 62) - 1)
    assert (high << 74) | (mid << 62) | low == bits


def test_only_our_own_form_counts_as_a_request_id() -> None:
    assert is_request_id(request_id("f", "s", "1"))
    assert not is_request_id(str(uuid.uuid4()))
    assert not is_request_id("../../etc/passwd")


def test_request_ids_spread_evenly_over_partitions() -> None:
    counts = [0] * 4
    for number in range(4_000):
        counts[partition_of(request_id("f", "s", str(number)), 4)] += 1
    assert min(counts) > 850
