from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from processor.executor.capture import BATCH_BYTES, MAX_LINE_BYTES, PARTIAL_AFTER_MS, Capture, LineCutter
from processor.executor.runtime.logs import CONTINUES


def texts(capture: Capture) -> list[str]:
    return [line[4] for line in capture.take()]


@given(data=st.text(alphabet="aé\n😀"), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_lines_do_not_depend_on_how_the_bytes_arrive(data: str, cuts: list[int]) -> None:
    raw = data.encode()
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    cutter = LineCutter()
    lines = [line for start, end in pairwise(places) for line in cutter.feed(raw[start:end], 0)] + cutter.flush()
    assert lines == data.removesuffix("\n").split("\n") if data else lines == []


@given(st.binary())
def test_any_bytes_become_text(data: bytes) -> None:
    cutter = LineCutter()
    lines = cutter.feed(data, 0) + cutter.flush()
    assert "\n".join(lines) == data.removesuffix(b"\n").decode("utf-8", "replace")


def test_a_line_longer_than_the_limit_is_continued_between_characters() -> None:
    text = "x" + "😀" * (MAX_LINE_BYTES // 2)
    cutter = LineCutter()
    lines = cutter.feed(text.encode() + b"\nnext\n", 0)
    assert lines.pop() == "next"
    assert all(line.endswith(CONTINUES) for line in lines[:-1])
    assert len(lines) == 3
    assert "".join(line.removesuffix(CONTINUES) for line in lines) == text


def test_memory_for_a_line_without_end_is_bounded() -> None:
    cutter = LineCutter()
    told = [line for _ in range(100) for line in cutter.feed(b"x" * 65_536, 0)]
    assert len(told) >= 100 * 65_536 // MAX_LINE_BYTES - 1


def test_a_line_without_its_end_is_told_when_it_is_old_enough() -> None:
    capture = Capture()
    capture.feed("stdout", b"50 %", 1_000)
    capture.age(1_000 + PARTIAL_AFTER_MS - 1)
    assert texts(capture) == []
    capture.age(1_000 + PARTIAL_AFTER_MS)
    assert texts(capture) == ["50 %"]


def test_lines_are_numbered_over_all_streams_and_batches() -> None:
    capture = Capture()
    capture.feed("stdout", b"a\nb\n", 1)
    capture.add("logging", "INFO", 2, "c\nd")
    first = capture.take()
    capture.feed("stderr", b"e", 3)
    capture.finish(4)
    assert first + capture.take() == [
        (1, "stdout", None, 1, "a"),
        (2, "stdout", None, 1, "b"),
        (3, "logging", "INFO", 2, "c\nd"),
        (4, "stderr", None, 4, "e"),
    ]
    assert capture.count == 4


def test_a_full_batch_is_announced() -> None:
    capture = Capture()
    assert not capture.feed("stdout", b"x\n", 0)
    assert capture.feed("stdout", b"x" * BATCH_BYTES + b"\n", 0)
    capture.take()
    assert not capture.feed("stdout", b"x\n", 0)
