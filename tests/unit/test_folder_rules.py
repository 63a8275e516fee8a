from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import unquote_plus
from urllib.request import urlopen

import orjson
import pytest

from processor.core.clock import ManualClock
from processor.core.codec import decode_structured, encode_structured
from triggers.abstract import Binding
from triggers.folder.adapter import waits_of
from triggers.folder.file_event import Identity, alias_of, event_of, is_wanted
from triggers.folder.seen import FORGET_AFTER_MS, FolderSeen, SeenUnavailable
from triggers.folder.settle import TICK_SEC, Settling, Waits, Why, is_being_written

ONE = Identity(device=1, inode=2, mtime_ns=1_700_000_000_123_456_789, size=10)


@pytest.mark.parametrize(
    ("key", "pattern", "wanted"),
    [
        ("a.jpg", "*", True),
        ("deep/er/a.jpg", "*.jpg", True),
        ("a.JPG", "*.jpg", False),
        (".a.jpg", "*", False),
        ("in/.hidden", "*", False),
        ("a.jpg.part", "*", False),
        ("a.tmp", "*", False),
        ("a.crdownload", "*", False),
        ("in/a.jpg", "in/*.jpg", True),
        ("out/a.jpg", "in/*.jpg", False),
        ("*.jpg", "[*].jpg", True),
    ],
)
def test_hidden_and_unfinished_names_are_no_files_and_the_pattern_is_for_the_name(
    key: str, pattern: str, wanted: bool
) -> None:
    assert is_wanted(key, pattern) is wanted


def test_the_event_says_where_the_file_is_in_the_words_of_an_object_store() -> None:
    event = event_of("/srv/up loads", "in/a.jpg", ONE, "abc")
    assert (event.source, event.type, event.subject) == (
        "objectstore:file/up%20loads",
        "objectstore.created",
        "in/a.jpg",
    )
    assert event.id == "1-2-17979cfe3d85cd15-a"
    assert orjson.loads(event.data or b"") == {
        "bucket": "up%20loads",
        "key": "in/a.jpg",
        "path": "/srv/up loads/in/a.jpg",
        "size": 10,
        "time": "2023-11-14T22:13:20.123Z",
        "eTag": "abc",
    }


def test_an_s3_handler_finds_a_record_of_its_platform_and_the_path() -> None:
    event = event_of("/srv/in", "..%2F..%2Fetc%2Fpasswd 🎉", ONE, "abc", "aws")
    (record,) = orjson.loads(event.data or b"")["Records"]
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["eventTime"] == "2023-11-14T22:13:20.123Z"
    assert record["s3"]["bucket"]["name"] == "in"
    assert unquote_plus(record["s3"]["object"]["key"]) == "..%2F..%2Fetc%2Fpasswd 🎉"
    assert (record["s3"]["object"]["size"], record["s3"]["object"]["eTag"]) == (10, "abc")
    assert record["file"] == {"path": "/srv/in/..%2F..%2Fetc%2Fpasswd 🎉"}


def test_a_cos_handler_finds_a_record_of_its_platform_and_a_url_that_opens(tmp_path: Path) -> None:
    name = "in 1/café+%"
    (tmp_path / "in 1").mkdir()
    (tmp_path / name).write_text("content")
    event = event_of(str(tmp_path), name, ONE, None, "scf")
    (record,) = orjson.loads(event.data or b"")["Records"]
    assert record["event"]["eventName"] == "cos:ObjectCreated:Put"
    assert record["event"]["eventTime"] == 1_700_000_000
    appid, bucket = record["cos"]["cosBucket"]["appid"], record["cos"]["cosBucket"]["name"]
    assert record["cos"]["cosObject"]["key"] == f"/{appid}/{bucket}/{name}"
    assert record["cos"]["cosObject"]["size"] == 10
    with urlopen(record["cos"]["cosObject"]["url"]) as opened:
        assert opened.read() == b"content"
    assert record["file"] == {"path": str(tmp_path / name)}


@pytest.mark.parametrize(
    "raw", [b"\xf0\x9f\x8e\x89.jpg", b"two\nlines.jpg", b"\xff\xfe.jpg", b"a\x01b\x7f", "naïve 猫".encode(), b"%0A"]
)
def test_any_file_name_makes_an_event_that_can_be_read_back_and_leads_to_the_file(raw: bytes) -> None:
    event = event_of("/srv/in", os.fsdecode(raw), ONE, None)
    again = decode_structured(encode_structured(event))
    assert again == event
    data = orjson.loads(event.data or b"")
    path = base64.b64decode(data["pathBase64"]) if "pathBase64" in data else os.fsencode(data["path"])
    assert path == b"/srv/in/" + raw


def test_the_alias_of_the_root_and_of_a_strange_name_is_fit_for_a_uri() -> None:
    assert alias_of("/") == "root"
    assert alias_of(os.fsdecode(b"/x/\xff\n")) == "%FF%0A"


def test_a_file_time_beyond_every_calendar_does_no_harm() -> None:
    assert event_of("/x", "a", ONE._replace(mtime_ns=1 << 62), None).time is not None
    assert event_of("/x", "a", ONE._replace(mtime_ns=1 << 70), None).time is None


def test_a_found_file_settles_once_it_has_not_changed_for_the_whole_time() -> None:
    settling = Settling(Waits(found_sec=0.5))
    settling.heard("a", ONE, Why.FOUND, 10.0)
    assert settling.due(10.4) == []
    assert settling.due(10.5) == ["a"]
    grown = ONE._replace(size=11)
    assert settling.settled("a", grown, 10.5) is None
    assert settling.due(10.9) == []
    assert settling.next_due_sec() == 11.0
    assert settling.settled("a", grown, 11.0) is Why.FOUND
    assert len(settling) == 0


def test_a_closed_file_waits_for_a_tick_of_the_file_times_only() -> None:
    settling = Settling(Waits(told_sec=0.25, found_sec=0.5))
    settling.heard("a", ONE, Why.TOLD, 10.0)
    assert settling.due(10.2) == []
    assert settling.due(10.25) == ["a"]
    assert settling.settled("a", ONE, 10.25) is Why.TOLD
    assert Waits().told_sec == TICK_SEC < 0.02


def test_an_empty_file_waits_for_what_is_written_into_it() -> None:
    settling = Settling(Waits(told_sec=0.25, found_sec=0.5))
    settling.heard("a", ONE._replace(size=0), Why.TOLD, 10.0)
    assert settling.due(10.25) == []
    settling.heard("a", ONE, Why.TOLD, 10.25)
    assert settling.due(10.5) == ["a"]


@pytest.mark.parametrize("first", list(Why))
@pytest.mark.parametrize("second", list(Why))
def test_of_two_reasons_to_look_at_a_file_the_greater_counts(first: Why, second: Why) -> None:
    settling = Settling(Waits())
    settling.heard("a", ONE, first, 10.0)
    settling.heard("a", ONE, second, 10.0)
    assert settling.settled("a", ONE, 11.0) is max(first, second)


def test_a_postponed_file_gives_way_to_news_of_it() -> None:
    settling = Settling(Waits(told_sec=0.25))
    settling.heard("a", ONE, Why.TOLD, 10.0)
    settling.postpone("a", ONE, Why.TOUCHED, 99.0)
    assert settling.due(10.25) == ["a"]
    settling.postpone("b", ONE, Why.TOUCHED, 11.0)
    assert settling.due(11.0) == ["a", "b"]


@pytest.mark.parametrize(
    ("settings", "told_sec", "found_sec"),
    [({}, TICK_SEC, 0.5), ({"settle": 2.0}, 2.0, 2.0), ({"settle": 0.1}, 0.1, 0.5)],
)
def test_the_settle_time_of_a_trigger_is_for_all_its_files(
    settings: dict[str, float], told_sec: float, found_sec: float
) -> None:
    binding = Binding(function="f", creation=1, kind="folder", settings=settings)
    assert waits_of(binding, 0.5) == Waits(told_sec=told_sec, found_sec=found_sec)


def test_a_file_that_somebody_has_open_for_writing_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w"):
        assert is_being_written(str(path))
    assert not is_being_written(str(path))
    with path.open():
        assert not is_being_written(str(path))
    assert not is_being_written(str(tmp_path / "missing"))


def seen_in(folder: Path, clock: ManualClock | None = None) -> FolderSeen:
    return FolderSeen(folder / "triggers.db", clock or ManualClock())


def test_what_was_remembered_is_known_after_a_restart(tmp_path: Path) -> None:
    seen = seen_in(tmp_path)
    seen.remember("f.1 /in", "a", ONE)
    seen.close()
    seen = seen_in(tmp_path)
    assert seen.knows("f.1 /in", "a", ONE)
    assert not seen.knows("g.1 /in", "a", ONE)
    assert not seen.knows("f.1 /in", "a", ONE._replace(mtime_ns=1))
    seen.close()


def test_a_renamed_file_is_known_and_so_is_one_whose_device_got_another_number(tmp_path: Path) -> None:
    seen = seen_in(tmp_path)
    seen.remember("f", "a", ONE)
    assert seen.knows("f", "renamed", ONE)
    assert seen.knows("f", "a", ONE._replace(device=99, inode=98))
    assert not seen.knows("f", "other", ONE._replace(device=99))
    seen.close()


def test_a_file_whose_time_was_set_is_remembered_with_it_unless_it_is_another_file(tmp_path: Path) -> None:
    seen = seen_in(tmp_path)
    seen.remember("f", "a", ONE)
    later = ONE._replace(mtime_ns=7)
    assert not seen.adopt("f", "a", later._replace(size=11))
    assert not seen.adopt("f", "a", later._replace(inode=3))
    assert not seen.adopt("f", "b", later)
    assert seen.adopt("f", "a", later)
    assert seen.knows("f", "a", later)
    assert not seen.knows("f", "a", ONE)
    seen.close()


def test_numbers_and_names_of_every_size_are_remembered(tmp_path: Path) -> None:
    seen = seen_in(tmp_path)
    huge = Identity(device=(1 << 64) - 1, inode=(1 << 64) - 2, mtime_ns=-(1 << 62), size=(1 << 62))
    name = os.fsdecode(b"\xff\n")
    seen.remember("f", name, huge)
    assert seen.knows("f", name, huge)
    assert seen.knows("f", "renamed", huge)
    seen.close()


def test_only_what_has_been_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    clock = ManualClock()
    seen = seen_in(tmp_path, clock)
    for key, inode in (("stays", 1), ("goes", 2)):
        seen.remember("f", key, ONE._replace(inode=inode, size=inode))
    clock.advance(FORGET_AFTER_MS / 1000 - 1)
    seen.note_present("f", ["stays"])
    assert seen.knows("f", "goes", ONE._replace(inode=2, size=2))
    clock.advance(2)
    seen.note_present("f", [])
    assert not seen.knows("f", "goes", ONE._replace(inode=2, size=2))
    assert seen.knows("f", "stays", ONE._replace(inode=1, size=1))
    seen.close()


def test_a_state_file_that_cannot_be_used_is_an_error_with_a_remedy_and_is_tried_anew(tmp_path: Path) -> None:
    path = tmp_path / "triggers.db"
    path.write_bytes(b"no database" * 100)
    seen = seen_in(tmp_path)
    with pytest.raises(SeenUnavailable, match=r"triggers\.db"):
        seen.knows("f", "a", ONE)
    path.unlink()
    assert not seen.knows("f", "a", ONE)
    seen.close()
