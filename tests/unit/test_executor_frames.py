from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.run import RunError
from processor.executor import frames
from processor.executor.runtime import failure
from processor.executor.runtime.frames import MAX_FRAME_BYTES, PEAK, BadFrame, Frame, FrameReader, encode


@given(bodies=st.lists(st.binary(max_size=20), max_size=5), step=st.integers(1, 30))
def test_frames_do_not_depend_on_how_the_bytes_arrive(bodies: list[bytes], step: int) -> None:
    data = b"".join(encode(number, body) for number, body in enumerate(bodies))
    reader = FrameReader()
    got = [frame for start in range(0, len(data), step) for frame in reader.feed(data[start : start + step])]
    assert got == [Frame(number, body) for number, body in enumerate(bodies)]


def test_a_frame_larger_than_any_of_ours_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadFrame):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "little") + b"r")


@pytest.mark.parametrize("body", [b"", b"\x00\x00\x00\x00", PEAK.pack(1) + b"{", PEAK.pack(1) + b'"\xff"'])
def test_a_result_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.read_result(body)


def test_a_result_of_null_is_none_and_others_stay_as_they_came() -> None:
    assert frames.read_result(PEAK.pack(2048) + b"null") == (2.0, None)
    assert frames.read_result(PEAK.pack(0) + b'{ "a": 1 }') == (0.0, b'{ "a": 1 }')


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type":"T"}', b'["INFO","x","text"]', b'["INFO",1]'])
def test_failures_and_log_records_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.read_failure(body)
    with pytest.raises(BadFrame):
        frames.read_log(body)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a\udc80b"), "a\\udc80b"),
        (Unspeakable(), "<str() of it raised RuntimeError>"),
        (SyntaxError("bad", ("f.py", 1, 1, "x =")), "bad (f.py, line 1)"),
    ],
)
def test_any_exception_can_be_told(error: BaseException, message: str) -> None:
    told = frames.read_failure(failure.describe(error))
    assert (told.type, told.message) == (type(error).__name__, message)


def test_a_failure_is_cut_in_the_middle_where_it_is_too_long() -> None:
    told = frames.read_failure(failure.encode("T", "a" * 50_000 + "z" * 50_000))
    assert len(told.message) < failure.MAX_CHARS + 100
    assert (told.message[0], told.message[-1]) == ("a", "z")
    assert "characters cut" in told.message


def test_a_failure_survives_the_way() -> None:
    assert frames.read_failure(failure.encode("T", "m", "s")) == RunError(type="T", message="m", stack="s")
    assert orjson.loads(failure.encode("T", "m"))["stack"] == ""
