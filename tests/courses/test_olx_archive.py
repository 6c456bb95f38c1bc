"""The archive of a course export …"""

import gzip
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from courses import olx_archive
from courses.olx_archive import Archive, Export
from courses.sources import SourceRefused
from tests.courses.exports import FILES, export, member, tar

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda *more, **changes: Path(export(tmp_path / "x.tar.gz", *more, **changes))


def refusal(path: Path) -> str:
    """Return why an export is refused, without its own name, which must come first."""
    with pytest.raises(SourceRefused) as caught:
        Export.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def test_gives_only_the_files_with_facts(write: Write) -> None:
    assert set(Export.read(write()).files) == {
        "course.xml",
        "course/2026.xml",
        "chapter/a1.xml",
        "chapter/b2.xml",
        "chapter/c3.xml",
        "policies/2026/policy.json",
    }


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/passwd", "is an absolute path."),
        ("\\\\server\\x", "is an absolute path."),
        ("C:\\x", "is an absolute path."),
        ("../x", "leads out of the archive."),
        ("course/../../x", "leads out of the archive."),
        ("course/static/..", "leads out of the archive."),
        ("course\\..\\..\\x", "leads out of the archive."),
        ("course/\n../x", "is in the archive twice."),
    ],
)
def test_is_refused_for_a_path_that_climbs_out(write: Write, name: str, problem: str) -> None:
    more = [member(name)] * (2 if problem.endswith("twice.") else 1)
    assert refusal(write(*more)) == f"{repr(name)[1:-1]}: {problem}"


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../x"),
        (tarfile.SYMTYPE, "a/../../../x"),
        (tarfile.LNKTYPE, "../x"),
        (tarfile.LNKTYPE, "/etc/passwd"),
    ],
)
def test_is_refused_for_a_link_out(write: Write, kind: bytes, target: str) -> None:
    link = member("course/link", type=kind, linkname=target)
    assert refusal(write(link)) == f"course/link: is a link out of the archive, to {target}."


def test_is_refused_when_a_file_with_facts_is_a_link(write: Write) -> None:
    link = member("course/chapter/a1.xml", type=tarfile.SYMTYPE, linkname="b2.xml")
    assert refusal(write(link, without=("course/chapter/a1.xml",))) == (
        "course/chapter/a1.xml: is a link where a file should be."
    )


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_is_refused_for_a_device(write: Write, kind: bytes) -> None:
    assert refusal(write(member("course/static/x", type=kind))) == "course/static/x: is neither a file nor a folder."


@pytest.mark.parametrize("name", ["course/chapter/a1.xml", "course/./chapter//a1.xml", "course/static/x"])
def test_is_refused_for_a_member_that_comes_twice(write: Write, name: str) -> None:
    assert refusal(write(member(name), member(name))).endswith(": is in the archive twice.")


def test_is_refused_for_too_many_members(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olx_archive, "MAX_MEMBERS", 5)
    assert refusal(write()).endswith("is one member too many. Allowed: 5.")


def test_is_refused_for_a_large_file_with_facts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olx_archive, "MAX_FILE", 2000)
    path = write(**{"course/chapter/a1.xml": " " * 2001})
    assert refusal(path) == "course/chapter/a1.xml: is too large for a description of a course."
    monkeypatch.setattr(olx_archive, "MAX_READ", 1000)
    assert refusal(write()).endswith(": is too large for a description of a course.")


def test_is_refused_when_it_unpacks_to_too_much(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olx_archive, "MAX_UNPACKED", 2_000_000)
    bombs = [member(f"course/static/{number}", bytes(700_000)) for number in range(3)]
    assert refusal(write(*bombs)) == "is too large when unpacked. Allowed: 2000000 bytes."
    assert refusal(write(member("course/static/x", bytes(2_000_001)))).startswith("course/static/x: is too large.")


def test_is_refused_when_a_bomb_follows_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(olx_archive, "MAX_UNPACKED", 1_000_000)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar(member("course/course.xml", "<course/>")) + bytes(2_000_000)))
    assert refusal(path) == "is too large when unpacked. Allowed: 1000000 bytes."


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_is_refused_for_a_header_that_is_a_bomb(tmp_path: Path, form: int) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar(member("course/" + "x" * 100_000), format=form)))
    assert "has a header of " in refusal(path)


def test_is_refused_for_a_header_that_leads_back(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    info, _ = member("course/static/x", size=0)
    info.pax_headers = {"size": "-2048"}
    good = member("course/course.xml", "<course/>")
    path.write_bytes(gzip.compress(tar(good, (info, b""), good, format=tarfile.PAX_FORMAT)))
    assert "too large" in refusal(path) or "sound" in refusal(path)


def test_is_refused_for_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    info, data = member("course/course.xml", b"1\n0\n0\n" + bytes(506))
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "course/course.xml",
        "GNU.sparse.realsize": "1000",
    }
    path.write_bytes(gzip.compress(tar((info, data), format=tarfile.PAX_FORMAT)))
    assert refusal(path) == "course/course.xml: is neither a file nor a folder."


def test_is_refused_when_cut_off_anywhere(write: Write, tmp_path: Path) -> None:
    packed = write().read_bytes()
    cut = tmp_path / "cut.tar.gz"
    for length in [*range(1, len(packed), 97), len(packed) - 1]:
        cut.write_bytes(packed[:length])
        assert refusal(cut) in ("is cut off or damaged.", "is no sound .tar.gz archive.")


def test_is_refused_when_its_unpacked_tar_is_cut_off(write: Write, tmp_path: Path) -> None:
    whole = gzip.decompress(write().read_bytes())
    end = len(whole.rstrip(b"\0"))
    cut = tmp_path / "cut.tar.gz"
    for length in (100, 700, end - 2000, end - 600, end - 5):
        cut.write_bytes(gzip.compress(whole[:length]))
        refusal(cut)


def test_is_refused_when_a_header_in_the_middle_is_damaged(write: Write, tmp_path: Path) -> None:
    whole = bytearray(gzip.decompress(write().read_bytes()))
    whole[whole.index(b"course/chapter/b2.xml") + 3] ^= 1
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(gzip.compress(bytes(whole)))
    assert refusal(path) == "is damaged: a header cannot be read."


def test_is_refused_when_a_byte_is_wrong(write: Write, tmp_path: Path) -> None:
    packed = bytearray(write().read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "damaged.tar.gz"
    path.write_bytes(bytes(packed))
    refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 2000, b"PK\x03\x04 a zip", b"\x1f\x8b", gzip.compress(b""), gzip.compress(b"no tar" * 500)],
    ids=["empty", "zeros", "zip", "two bytes", "gzipped nothing", "gzipped text"],
)
def test_is_refused_when_it_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    assert refusal(path).startswith(("is no sound", "is cut off"))


def test_is_refused_when_not_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(tar(*(member(name, text) for name, text in FILES.items())))
    assert refusal(path) == "is no sound .tar.gz archive."


def test_is_refused_when_it_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "cannot be read (Is a directory)."


def test_is_refused_for_random_damage_without_an_error_of_ours(write: Write, tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = gzip.decompress(write().read_bytes())
    path = tmp_path / "damaged.tar.gz"
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(gzip.compress(bytes(damaged), compresslevel=1))
        try:
            Archive(path).read()
        except SourceRefused as error:
            assert len(str(error).splitlines()) == 1


def test_may_be_packed_by_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    members = [member(name, text) for name, text in FILES.items()]
    long = member("course/static/" + "ø" * 90 + "/" + "y" * 90, "picture")
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path.write_bytes(gzip.compress(tar(long, *members, format=form)))
        assert len(Export.read(path).files) == 6
    path.write_bytes(gzip.compress(tar(*members, format=tarfile.USTAR_FORMAT)))
    assert len(Export.read(path).files) == 6
