"""The files of a course export, read out of its archive. Nothing is unpacked to disk."""

import gzip
import posixpath
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from courses.sources import SourceRefused

# Far above what Open edX writes, far below what would harm the machine.
MAX_MEMBERS = 50_000
MAX_UNPACKED = 4 * 2**30
MAX_FILE = 8 * 2**20
MAX_READ = 64 * 2**20
# Long names and other extensions of a header; tarfile would read as much as the archive asks for.
MAX_HEADER = 64 * 2**10
STEP = 64 * 2**10

SHOWN = 120
ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")
WANTED = re.compile(r"(?:.+/)?(?:course\.xml|course/[^/]+\.xml|chapter/.+\.xml|policies/(?:[^/]+/)?[^/]+\.json)")
UNWANTED = ("assets.json", "grading_policy.json")


@dataclass(frozen=True, slots=True)
class Export:
    """The files with facts of one export: {path below the folder of course.xml: content}."""

    path: Path
    files: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> "Export":
        """Read an export; SourceRefused names it, the member and what is wrong."""
        found = Archive(path).read()
        roots = sorted((name for name in found if posixpath.basename(name) == "course.xml"), key=_depth)
        if not roots:
            raise refused(path, "course.xml", "is missing; this is no export of a course.")
        if len(roots) > 1 and _depth(roots[0]) == _depth(roots[1]):
            raise refused(path, roots[1], f"is a second course beside {shown(roots[0])}.")
        folder = roots[0].removesuffix("course.xml")
        return cls(path, {name[len(folder) :]: data for name, data in found.items() if name.startswith(folder)})

    def refused(self, member: str, problem: str) -> SourceRefused:
        """Return the error for a member."""
        return refused(self.path, member, problem)


class Archive:
    """A gzipped tar archive that somebody else has packed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, bytes]:
        """Return {path: content} of the files that may hold facts, after a look at every member."""
        try:
            with gzip.open(self.path) as packed:
                unpacked = Unpacked(self.path, cast("IO[bytes]", packed))
                with tarfile.open(fileobj=cast("IO[bytes]", unpacked), mode="r:") as tar:
                    files = self._files(tar, unpacked)
                unpacked.finish()
        except gzip.BadGzipFile:
            raise refused(self.path, "", "is no sound .tar.gz archive.") from None
        except (EOFError, zlib.error):
            raise refused(self.path, "", "is cut off or damaged.") from None
        except (tarfile.TarError, ArithmeticError, LookupError, RecursionError, ValueError):
            raise refused(self.path, "", "is no sound .tar.gz archive.") from None
        except OSError as error:
            raise refused(self.path, "", f"cannot be read ({error.strerror or error}).") from None
        return files

    def _files(self, tar: tarfile.TarFile, unpacked: "Unpacked") -> dict[str, bytes]:
        """Walk through the archive once."""
        files: dict[str, bytes] = {}
        seen: set[str] = set()
        size = 0
        for number, member in enumerate(tar, start=1):
            if number > MAX_MEMBERS:
                raise refused(self.path, member.name, f"is one member too many. Allowed: {MAX_MEMBERS}.")
            path = self._checked(member)
            if member.isdir():
                continue
            if path in seen:
                raise refused(self.path, member.name, "is in the archive twice.")
            seen.add(path)
            if not WANTED.fullmatch(path) or posixpath.basename(path) in UNWANTED:
                continue
            size += member.size
            if not member.isreg():
                raise refused(self.path, member.name, "is a link where a file should be.")
            if member.size > MAX_FILE or size > MAX_READ:
                raise refused(self.path, member.name, "is too large for a description of a course.")
            unpacked.seek(member.offset_data)
            files[path] = unpacked.take(member.size)
        return files

    def _checked(self, member: tarfile.TarInfo) -> str:
        """Return a member's path without dots, after making sure that it stays inside and is harmless."""
        if ABSOLUTE.match(member.name):
            raise refused(self.path, member.name, "is an absolute path.")
        if ".." in re.split(r"[/\\]", member.name):
            raise refused(self.path, member.name, "leads out of the archive.")
        if member.issym() or member.islnk():
            folder = posixpath.dirname(member.name) if member.issym() else ""
            target = posixpath.normpath(posixpath.join(folder, member.linkname))
            if ABSOLUTE.match(target) or target.split("/")[0] == "..":
                raise refused(self.path, member.name, f"is a link out of the archive, to {shown(member.linkname)}.")
        elif member.issparse() or not (member.isreg() or member.isdir()):
            raise refused(self.path, member.name, "is neither a file nor a folder.")
        if not 0 <= member.size <= MAX_UNPACKED:
            raise refused(self.path, member.name, f"is too large. Allowed: {MAX_UNPACKED} bytes in all.")
        return "/".join(part for part in member.name.split("/") if part not in ("", "."))


class Unpacked:
    """The unpacked bytes as tarfile wants them, but only forward and never more than allowed."""

    def __init__(self, path: Path, packed: IO[bytes]) -> None:
        self.path = path
        self.packed = packed
        self.position = 0
        self.last = b""

    def tell(self) -> int:
        """Return the position."""
        return self.position

    def seek(self, position: int) -> int:
        """Skip to a position; one that was passed already means a header that lies."""
        if position < self.position:
            raise refused(self.path, "", "is no sound .tar.gz archive.")
        while self.position < position and self.take(min(STEP, position - self.position)):
            pass
        return self.position

    def read(self, size: int) -> bytes:
        """Read a part of a header."""
        if size > MAX_HEADER:
            raise refused(self.path, "", f"has a header of {size} bytes. Allowed: {MAX_HEADER}.")
        self.last = self.take(size)
        return self.last

    def take(self, size: int) -> bytes:
        """Read exactly so many bytes, fewer only at the end."""
        data = self.packed.read(size)
        self.position += len(data)
        if self.position > MAX_UNPACKED:
            raise refused(self.path, "", f"is too large when unpacked. Allowed: {MAX_UNPACKED} bytes.")
        return data

    def finish(self) -> None:
        """Read to the end, where gzip's own check sum stands, after making sure that the tar archive ended in order.

        tarfile takes a damaged header for the end of the archive.
        """
        if self.last.strip(b"\0"):
            raise refused(self.path, "", "is damaged: a header cannot be read.")
        while self.take(STEP):
            pass


def refused(path: Path, member: str, problem: str) -> SourceRefused:
    """Return the error that names an export and, if any, its member."""
    return SourceRefused(f"{path}: {shown(member)}: {problem}" if member else f"{path}: {problem}")


def shown(name: str) -> str:
    """Return a name from the archive as it can be shown in one line."""
    text = repr(name)[1:-1]
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _depth(name: str) -> int:
    """Count the folders above a file."""
    return name.count("/")
