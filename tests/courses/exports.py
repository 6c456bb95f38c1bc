"""Course exports of the form that Open edX Studio writes, made of our own words."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

KEY = "course-v1:Harbour+NAV1+2026"
COURSE = "course/course/2026.xml"
POLICY = "course/policies/2026/policy.json"

FILES: dict[str, str] = {
    "course/course.xml": '<course url_name="2026" org="Harbour" course="NAV1"/>',
    COURSE: """
        <course advanced_modules="[&quot;poll&quot;]" cert_html_view_enabled="true" display_name="Navigation for all"
            end="null" highlights_enabled_for_messaging="true" language="es" minimum_grade_credit="0.8"
            self_paced="true" start="&quot;2026-03-01T08:00:00+00:00&quot;">
          <chapter url_name="a1"/>
          <chapter url_name="b2"/>
          <chapter url_name="c3"/>
          <wiki slug="Harbour.NAV1.2026"/>
        </course>""",
    "course/chapter/a1.xml": """
        <chapter display_name="Maps &amp; charts"
            highlights="[&quot;Read a chart&quot;, &quot;Find the n\\u00f8rth&quot;]">
          <sequential url_name="s1"/>
        </chapter>""",
    "course/chapter/b2.xml": """
        <chapter display_name="For the crew" visible_to_staff_only="true" start="2970-01-01T00:00:00Z">
          <sequential url_name="s2"/>
        </chapter>""",
    "course/chapter/c3.xml": '<chapter display_name="Tides" hide_from_toc="true"/>',
    "course/sequential/s1.xml": '<sequential display_name="Paper"><vertical url_name="v1"/></sequential>',
    "course/about/overview.html": "<section>About</section>",
    "course/assets/assets.xml": "<assets/>",
    "course/drafts/vertical/v9.xml": '<vertical display_name="Not yet"/>',
    "course/policies/assets.json": "{}",
    "course/policies/2026/grading_policy.json": "{}",
    POLICY: json.dumps({"course/2026": {"display_name": "Navigation for everybody", "self_paced": True, "tabs": []}}),
}


def member(name: str, content: str | bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of an archive; `fields` are those of its header."""
    data = content.encode() if isinstance(content, str) else content
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(*members: tuple[tarfile.TarInfo, bytes], **options: Any) -> bytes:
    """Return an archive of these members, not yet gzipped."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", **options) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def export(
    path: Path, *more: tuple[tarfile.TarInfo, bytes], without: tuple[str, ...] = (), **changes: str | bytes
) -> str:
    """Write an export of the files above, without some, with others (`changes`, by path) and with more members."""
    files: dict[str, str | bytes] = {name: data for name, data in FILES.items() if name not in without} | changes
    folders = [member("course", type=tarfile.DIRTYPE), member("course/chapter", type=tarfile.DIRTYPE)]
    packed = tar(*folders, *(member(name, data) for name, data in files.items()), *more)
    path.write_bytes(gzip.compress(packed, compresslevel=1))
    return str(path)
