from __future__ import annotations

import os
import socket
import stat
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor.registry import code_errors, code_source
from processor.registry.code_errors import CodeRefused, CodeTooLarge, CodeUnsafe
from processor.registry.code_store import CodeStore

HOUR_SEC = 3_600


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    return CodeStore(tmp_path / "store")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    write(source, "app.py", "print(1)")
    write(source, "lib/helper.py", "x = 1")
    return source


def write(folder: Path, name: str, text: str = "", *, mode: int = 0o644) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def files(folder: Path | None) -> set[str]:
    assert folder is not None
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_symlink() or not each.is_dir()}


def make_zip(path: Path, members: Iterable[tuple[str, bytes, int]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def test_a_snapshot_is_found_by_its_digest(store: CodeStore, source: Path) -> None:
    digest = store.snapshot(source)
    assert len(digest) == 64
    assert files(store.path(digest)) == {"app.py", "lib/helper.py"}
    assert (store.path(digest) or source).joinpath("app.py").read_text() == "print(1)"


def test_the_same_content_has_the_same_digest_wherever_and_whenever_it_is(store: CodeStore, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, order in ((one, ("b.py", "a.py")), (other, ("a.py", "b.py"))):
        for name in order:
            os.utime(write(folder, name, name), (len(folder.name), 0))
    (other / "empty folder").mkdir()
    assert store.snapshot(one) == store.snapshot(other)


@pytest.mark.parametrize("change", ["content", "name", "executable", "more", "folder"])
def test_every_difference_that_code_can_notice_changes_the_digest(store: CodeStore, source: Path, change: str) -> None:
    before = store.snapshot(source)
    app = source / "app.py"
    match change:
        case "content":
            app.write_text("print(2)")
        case "name":
            app.rename(source / "app2.py")
        case "executable":
            app.chmod(0o755)
        case "more":
            write(source, "more.py")
        case "folder":
            (source / "lib").rename(source / "lib2")
    assert store.snapshot(source) != before


def test_a_zip_of_a_folder_has_the_folders_digest(store: CodeStore, source: Path, tmp_path: Path) -> None:
    write(source, "run.sh", "#!/bin/sh", mode=0o755)
    members = [(name, (source / name).read_bytes(), (source / name).stat().st_mode) for name in sorted(files(source))]
    zipped = make_zip(tmp_path / "code.zip", [("lib/", b"", stat.S_IFDIR | 0o755), *members, ("x.pyc", b"", 0o644)])
    digest = store.snapshot(zipped)
    assert digest == store.snapshot(source)
    assert ((store.path(digest) or source) / "run.sh").stat().st_mode & stat.S_IXUSR


def test_what_is_no_code_is_left_out(store: CodeStore, source: Path) -> None:
    before = store.snapshot(source)
    for name in (".git/HEAD", "lib/__pycache__/x.pyc", ".venv/bin/python", "old.pyc", ".pytest_cache/x", ".git-file/x"):
        write(source, name)
    with_file = store.snapshot(source)
    assert files(store.path(with_file)) == {"app.py", "lib/helper.py", ".git-file/x"}
    (source / ".git-file" / "x").unlink()
    assert store.snapshot(source) == before


def test_the_store_the_data_folder_and_what_the_caller_names_are_left_out(source: Path) -> None:
    data = source / ".headrace"
    store = CodeStore(data / "code", data_dir=data)
    write(data, "log.sqlite3", "big")
    write(source, "inbox/picture.png")
    write(source, "functions.yaml")
    without = [source / "inbox", source / "lib" / ".." / "functions.yaml"]
    first = store.snapshot(source, without=without)
    assert files(store.path(first)) == {"app.py", "lib/helper.py"}
    assert store.snapshot(source, without=without) == first


def test_the_store_is_left_out_under_any_name_of_its_folder(source: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(source)
    store = CodeStore(source / "store")
    assert store.snapshot(alias) == store.snapshot(source)


def test_links_inside_the_code_are_kept(store: CodeStore, source: Path) -> None:
    (source / "link.py").symlink_to("app.py")
    (source / "linked").symlink_to("lib", target_is_directory=True)
    digest = store.snapshot(source)
    found = store.path(digest)
    assert files(found) == {"app.py", "lib/helper.py", "link.py", "linked"}
    assert found is not None
    assert (found / "linked" / "helper.py").read_text() == "x = 1"
    (source / "link.py").unlink()
    (source / "link.py").symlink_to("lib/helper.py")
    assert store.snapshot(source) != digest


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "lib/../../outside", "nowhere", "loop", ".venv/x"])
def test_links_that_lead_outside_or_nowhere_are_refused(store: CodeStore, source: Path, target: str) -> None:
    write(source.parent, "outside")
    write(source, ".venv/x")
    (source / "loop").symlink_to(target)
    with pytest.raises(CodeUnsafe, match="the link loop"):
        store.snapshot(source)


def test_links_to_the_codes_own_absolute_path_are_refused(store: CodeStore, source: Path) -> None:
    (source / "link").symlink_to(source / "app.py")
    with pytest.raises(CodeUnsafe):
        store.snapshot(source)


def test_sockets_and_pipes_are_refused(store: CodeStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source)  # a socket's path may have only 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(CodeUnsafe, match="neither a file nor a folder"):
            store.snapshot(source)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil.py", 0o644),
        ("/evil.py", 0o644),
        ("lib/../../evil.py", 0o644),
        ("..\\evil.py", 0o644),
        ("link", stat.S_IFLNK | 0o777),
        ("..", 0o644),
    ],
)
def test_zips_cannot_write_outside_or_make_links(store: CodeStore, tmp_path: Path, name: str, mode: int) -> None:
    zipped = make_zip(tmp_path / "code.zip", [("app.py", b"", 0o644), (name, b"/etc/passwd", mode)])
    with pytest.raises(CodeUnsafe):
        store.snapshot(zipped)
    assert {each.name for each in tmp_path.iterdir()} == {"code.zip", "store"}
    assert list((tmp_path / "store").iterdir()) == []


def test_damaged_zips_and_other_files_are_refused(store: CodeStore, tmp_path: Path) -> None:
    zipped = make_zip(tmp_path / "code.zip", [("app.py", b"x" * 5_000, 0o644)])
    content = bytearray(zipped.read_bytes())
    content[45] ^= 0xFF
    zipped.write_bytes(content)
    for path in (zipped, write(tmp_path, "code.txt", "no zip"), tmp_path / "nowhere"):
        with pytest.raises(CodeRefused):
            store.snapshot(path)


def test_code_over_the_limit_is_refused_whatever_its_headers_say(
    store: CodeStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_source, "MAX_CODE_BYTES", 100_000)
    write(source, "model.bin", "0" * 100_001)
    bomb = make_zip(tmp_path / "bomb.zip", [("zeros", bytes(100_001), 0o644)])
    assert bomb.stat().st_size < 1_000
    for path in (source, bomb):
        with pytest.raises(CodeTooLarge):
            store.snapshot(path)
    assert list((tmp_path / "store").iterdir()) == []


def test_too_many_files_are_refused(store: CodeStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_source, "MAX_CODE_FILES", 2)
    assert store.snapshot(source)
    (source / "third").symlink_to("app.py")
    with pytest.raises(CodeTooLarge):
        store.snapshot(source)


def test_the_limit_is_that_of_lambda() -> None:
    assert code_errors.MAX_CODE_BYTES == 262_144_000


@pytest.mark.parametrize("digest", ["", "..", "a" * 63, "../" + "a" * 61, "A" * 64, "a" * 64])
def test_what_is_no_stored_digest_has_no_path(store: CodeStore, source: Path, digest: str) -> None:
    store.snapshot(source)
    assert store.path(digest) is None


def test_snapshots_at_the_same_time_agree(source: Path, tmp_path: Path) -> None:
    start = threading.Barrier(6)
    digests: list[str] = []

    def snapshot() -> None:
        start.wait()
        digests.append(CodeStore(tmp_path / "store").snapshot(source))

    threads = [threading.Thread(target=snapshot) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 6
    assert [each.name for each in (tmp_path / "store").iterdir()] == [digests[0]]


def test_what_a_killed_snapshot_left_behind_is_swept_a_day_later(
    store: CodeStore, source: Path, tmp_path: Path
) -> None:
    store.snapshot(source)
    old, young = tmp_path / "store" / ".new-old", tmp_path / "store" / ".new-young"
    write(old, "code/app.py")
    young.mkdir()
    before = old.stat().st_mtime - 25 * HOUR_SEC
    os.utime(old, (before, before))
    store.snapshot(source)
    assert not old.exists()
    assert young.exists()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-c]{1,3}", fullmatch=True), st.binary(max_size=20), min_size=1, max_size=4),
    st.dictionaries(st.from_regex(r"[a-c]{1,3}", fullmatch=True), st.binary(max_size=20), min_size=1, max_size=4),
)
def test_digests_are_equal_exactly_when_the_contents_are(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("digests")
    store = CodeStore(root / "store")
    digests = []
    for number, contents in enumerate((one, other)):
        folder = root / str(number)
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        digests.append(store.snapshot(folder))
    assert (digests[0] == digests[1]) == (one == other)
