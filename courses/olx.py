"""Facts from a course export as Open edX Studio writes it (OLX in a .tar.gz).

`course.xml` points to `course/<run>.xml`, which lists the sections; each has its settings in `chapter/<id>.xml` or
inline. `policies/<run>/policy.json` overrides both, under the keys `course/<run>` and `chapter/<id>`. A value in an
attribute is JSON or, where it is none, plain text; a date with and without quotes means the same. What is not set has
the platform's default: no start means 2030, so that nobody is mailed about a course without a date.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError

from courses.olx_archive import Export, shown
from courses.olx_xml import Element, outline
from courses.sources import BadRow, CourseRow, SectionRow, Source, SourceRefused
from courses.validators import validate_course_key, validate_highlights

DEFAULT_START = datetime(2030, 1, 1, tzinfo=UTC)
#: What keeps a course out of the catalogue; one that says nothing is in it.
HIDDEN = ("about", "none")
MAX_HIGHLIGHTS = 10


class OlxSource(Source):
    """One exported course with its sections. Modes, learners and enrolments are not part of an export."""

    all_or_nothing = True

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        outlined = Course.read(Export.read(path))
        self.course = outlined.row()
        self.chapters = list(outlined.section_rows())

    def courses(self) -> Iterator[CourseRow | BadRow]:
        """Yield the course."""
        yield self.course

    def sections(self) -> Iterator[SectionRow | BadRow]:
        """Yield the sections in the order of the course."""
        yield from self.chapters

    def complete(self, kind: str) -> Iterable[str]:
        """Name the course, whose sections are all here even if there are none."""
        return [self.course.key] if kind == "sections" else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A value and the member that tells it; `text` is how an attribute writes it."""

    member: str
    value: Any
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What an element says of itself, with the policy over it."""

    export: Export
    told: dict[str, Told]

    def text(self, name: str) -> str:
        """Return a text, or "" where there is none."""
        told = self._find(name)
        if told is None:
            return ""
        value = told.text if told.text is not None and not isinstance(told.value, str) else told.value
        if not isinstance(value, str):
            raise self._refused(name, told, "is no text.")
        return self._storable(name, told, value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        told = self._find(name)
        if told is None:
            return default
        value = told.value.strip().lower() if isinstance(told.value, str) else told.value
        if value in ("true", "false"):
            return bool(value == "true")
        if not isinstance(value, bool):
            raise self._refused(name, told, f"{shown(str(value))} is not true or false.")
        return value

    def time(self, name: str, *, default: datetime | None = None) -> datetime | None:
        """Return a time, None where the export says so; one without a zone is UTC."""
        if name not in self.told:
            return default
        told = self.told[name]
        if told.value in (None, ""):
            return None
        try:
            instant = datetime.fromisoformat(told.value)
            return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
        except (ArithmeticError, TypeError, ValueError):
            example = "Allowed: for example 2030-01-01T00:00:00Z."
            raise self._refused(name, told, f"{shown(str(told.value))} is no time. {example}") from None

    def highlights(self) -> list[str]:
        """Return the highlights of a section."""
        told = self._find("highlights")
        if told is None:
            return []
        try:
            validate_highlights(told.value)
        except ValidationError as error:
            message = " ".join(error.messages).removeprefix("highlights: ")
            raise self._refused("highlights", told, message) from None
        if len(told.value) > MAX_HIGHLIGHTS:
            raise self._refused("highlights", told, f"{len(told.value)} texts. Allowed: at most {MAX_HIGHLIGHTS}.")
        return [self._storable("highlights", told, text) for text in told.value]

    def _find(self, name: str) -> Told | None:
        """Return what is told of a setting, None for nothing or null."""
        told = self.told.get(name)
        return None if told is None or told.value is None else told

    def _storable(self, name: str, told: Told, value: str) -> str:
        """Refuse what JSON can spell and no database can hold."""
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise self._refused(name, told, "has a character that is none (a NUL or half of a pair).")
        return value

    def _refused(self, name: str, told: Told, problem: str) -> SourceRefused:
        """Return the error for a setting."""
        return self.export.refused(told.member, f"{name}: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The course of an export: its key and run, its own element and where that stands."""

    export: Export
    key: str
    run: str
    member: str
    element: Element
    policy: "Policy"

    @classmethod
    def read(cls, export: Export) -> "Course":
        """Read course.xml, the policy and the file that course.xml points to."""
        root = read_element(export, "course.xml", tag="course")
        values = {name: root.attributes.get(name, "") for name in ("org", "course", "url_name")}
        for name, value in values.items():
            if not value:
                raise export.refused("course.xml", f"{name}: is missing.")
        key = "course-v1:{org}+{course}+{url_name}".format(**values)
        try:
            validate_course_key(key)
        except ValidationError as error:
            raise export.refused("course.xml", " ".join(error.messages)) from None
        member = "course.xml"
        if is_pointer(root, names={"org", "course", "url_name"}):
            member = file_of("course", values["url_name"])
            root = read_element(export, member, tag="course")
        policy = Policy.read(export, values["url_name"])
        return cls(export=export, key=key, run=values["url_name"], member=member, element=root, policy=policy)

    def row(self) -> CourseRow:
        """Return the facts about the course."""
        settings = self._settings()
        return CourseRow(
            place=self.member,
            key=self.key,
            title=" ".join(settings.text("display_name").split()) or self.key,
            start=settings.time("start", default=DEFAULT_START),
            end=settings.time("end"),
            enrollment_start=settings.time("enrollment_start"),
            enrollment_end=settings.time("enrollment_end"),
            is_visible=settings.text("catalog_visibility") not in HIDDEN,
            self_paced=settings.flag("self_paced"),
            language=settings.text("language"),
            highlights_enabled_for_messaging=settings.flag("highlights_enabled_for_messaging"),
        )

    def section_rows(self) -> Iterator[SectionRow]:
        """Yield the facts about the sections; one that says nothing of its visibility has that of the course."""
        staff_only = self._settings().flag("visible_to_staff_only")
        chapters = [child for child in self.element.children if child.tag == "chapter"]
        for index, chapter in enumerate(chapters):
            name = chapter.attributes.get("url_name", "")
            member, element = self.member, chapter
            if is_pointer(chapter, names={"url_name"}):
                member = file_of("chapter", name)
                element = read_element(self.export, member, tag="chapter")
            settings = self.policy.over(element, member=member, entry=f"chapter/{name}")
            yield SectionRow(
                place=member,
                course=self.key,
                index=index,
                title=" ".join(settings.text("display_name").split()),
                visible_to_staff_only=settings.flag("visible_to_staff_only", default=staff_only),
                hide_from_toc=settings.flag("hide_from_toc"),
                highlights=settings.highlights(),
            )

    def _settings(self) -> Settings:
        """Return what the course says of itself."""
        return self.policy.over(self.element, member=self.member, entry=f"course/{self.run}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The file that overrides the settings of elements, by "<tag>/<url_name>"."""

    export: Export
    member: str
    entries: dict[str, Any]

    @classmethod
    def read(cls, export: Export, run: str) -> "Policy":
        """Read the policy of a run; older exports have it beside the folder of the run, hand-made ones none."""
        found = (name for name in (f"policies/{run}/policy.json", f"policies/{run}.json") if name in export.files)
        member = next(found, None)
        if member is None:
            return cls(export, "", {})
        try:
            entries = json.loads(export.files[member].decode("utf-8-sig"))
        except (RecursionError, ValueError) as error:
            reason = "is not in UTF-8" if isinstance(error, UnicodeDecodeError) else f"is no JSON ({error})"
            raise export.refused(member, f"{reason}.") from None
        if not isinstance(entries, dict):
            raise export.refused(member, "must be an object.")
        return cls(export, member, entries)

    def over(self, element: Element, *, member: str, entry: str) -> Settings:
        """Return the settings of an element."""
        overriding = self.entries.get(entry, {})
        if not isinstance(overriding, dict):
            raise self.export.refused(self.member, f"{shown(entry)}: must be an object.")
        told = {name: Told(member=member, value=value_of(text), text=text) for name, text in element.attributes.items()}
        told |= {name: Told(member=self.member, value=value) for name, value in overriding.items()}
        return Settings(self.export, told)


def read_element(export: Export, member: str, *, tag: str) -> Element:
    """Return the root of a file, which must have this tag."""
    if member not in export.files:
        raise export.refused(member, "is missing.")
    try:
        root = outline(export.files[member])
    except ValueError as error:
        raise export.refused(member, str(error)) from None
    if root.tag != tag:
        raise export.refused(member, f"has a <{shown(root.tag)}> where a <{tag}> should be.")
    return root


def is_pointer(element: Element, *, names: set[str]) -> bool:
    """Tell whether an element only names the file with its definition."""
    return element.is_empty and set(element.attributes) == names


def file_of(tag: str, name: str) -> str:
    """Return the member that defines an element; a colon in a name stands for a folder."""
    return f"{tag}/{name.replace(':', '/')}.xml"


def value_of(text: str) -> Any:
    """Return what an attribute means: its JSON, or the text itself."""
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return text
