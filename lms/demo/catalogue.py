"""The demo's sites and courses, as plain values; dates are days relative to the day of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Sites whose course updates are switched off, but for courses with the flag.
WITHOUT_UPDATES = ("campus.example.org",)

#: The first site takes over the row of SITE_ID, so that the commands of the documents work in the demo as they stand.
SITES: tuple[dict[str, Any], ...] = (
    {
        "domain": "example.com",
        "org_filter": ["HarbourX"],
        "platform_name": "Harbour Learning",
        "primary_color": "#0A5C7D",
        "contact_mailing_address": "Harbour Learning, 12 Quay Street, Bristol BS1 4DJ, United Kingdom",
        "from_address": "hello@example.com",
        "reply_to": "support@example.com",
        "time_zone": "Europe/London",
        "language": "en",
        "social_links": {"youtube": "https://videos.example.com/harbour", "linkedin": "https://network.example.com/h"},
    },
    {
        "domain": "campus.example.org",
        "org_filter": ["MesetaX"],
        "platform_name": "Escuela Meseta",
        "primary_color": "#8A3B12",
        "contact_mailing_address": "Escuela Meseta, Calle del Olmo 7, 28012 Madrid, España",
        "from_address": "hola@campus.example.org",
        "reply_to": "ayuda@campus.example.org",
        "time_zone": "Europe/Madrid",
        "language": "es",
        "store_links": {"google": "https://store.example.org/campus"},
    },
)


@dataclass(frozen=True, kw_only=True)
class DemoCourse:
    """One course. `starts` and `ends` are days from today; `later` are facts that change after people enrolled.

    `highlights` are what the author wrote, section by section; `updates_by_flag` puts the course under the flag that
    lets its updates through where the site has them off. `items` are what there is to watch and to do, by kind.
    """

    org: str
    title: str
    language: str = ""
    starts: int = -120
    ends: int | None = None
    verified: bool = False
    deadline_days: int | None = None
    highlights: tuple[tuple[str, ...], ...] = ()
    updates_by_flag: bool = False
    later: str = ""
    items: tuple[tuple[str, str], ...] = ()


VIDEO, QUIZ, ASSIGNMENT = "video", "quiz", "assignment"
INSTRUCTOR_PACED = "instructor-paced"
ENDED = "ended"
NOT_STARTED = "not started"
OFFER_OVER = "the verified mode expired"

#: Courses by their number, which is the middle part of the key.
COURSES: dict[str, DemoCourse] = {
    "NAV101": DemoCourse(
        org="HarbourX",
        title="Coastal Navigation for Beginners",
        verified=True,
        items=(
            (VIDEO, "What a chart shows"),
            (VIDEO, "Taking a bearing"),
            (QUIZ, "Symbols on the chart"),
            (VIDEO, "Where the tide takes you"),
            (ASSIGNMENT, "Plan a passage of ten miles"),
        ),
    ),
    "WTR110": DemoCourse(
        org="HarbourX",
        title="Reading the Weather",
        items=((VIDEO, "Highs, lows and fronts"), (VIDEO, "Clouds, from the top down"), (QUIZ, "Name that cloud")),
    ),
    "KNT120": DemoCourse(
        org="HarbourX",
        title="Knots, Splices & Rope Work",
        verified=True,
        deadline_days=7,
        items=((VIDEO, "The bowline"), (VIDEO, "Splicing an eye"), (ASSIGNMENT, "Send a picture of your splice")),
    ),
    "SGN140": DemoCourse(
        org="HarbourX",
        title="Signals, Flags & Lights",
        verified=True,
        items=((VIDEO, "The alphabet in flags"), (QUIZ, "Which light is that?")),
    ),
    "GRD130": DemoCourse(
        org="HarbourX",
        title="A Year in the Garden",
        verified=True,
        highlights=(
            ("What to sow while the soil is cold", "Reading a seed packet", "Your first bed, in an afternoon"),
            (),
            ("Compost: what goes on the heap and what does not", "Watering less, and at the right hour"),
        ),
        items=((VIDEO, "A bed in an afternoon"), (VIDEO, "The heap"), (QUIZ, "Cold soil, warm soil")),
    ),
    "BLD200": DemoCourse(org="HarbourX", title="Build a Wooden Dinghy", later=INSTRUCTOR_PACED),
    "LGT210": DemoCourse(org="HarbourX", title="Lighthouses of the North", later=ENDED),
    "NGT220": DemoCourse(org="HarbourX", title="Night Sailing", later=NOT_STARTED),
    "RAD230": DemoCourse(org="HarbourX", title="The Marine Radio", verified=True, later=OFFER_OVER),
    "FOT101": DemoCourse(
        org="MesetaX",
        title="Introducción a la fotografía",
        language="es",
        verified=True,
        items=(
            (VIDEO, "La luz de la mañana"),
            (VIDEO, "Diafragma y obturador"),
            (QUIZ, "¿Qué ha fallado en esta foto?"),
            (ASSIGNMENT, "Un retrato sin flash"),
        ),
    ),
    "COC110": DemoCourse(
        org="MesetaX",
        title="Cocina de aprovechamiento",
        language="es",
        items=((VIDEO, "El pan de ayer"), (VIDEO, "Caldos"), (QUIZ, "¿Se puede congelar?")),
    ),
    "HUE120": DemoCourse(
        org="MesetaX",
        title="El huerto en casa",
        language="es",
        highlights=(("Qué sembrar en una maceta", "Cuánta luz necesita cada planta"), ("El riego sin prisas",)),
        updates_by_flag=True,
        items=((VIDEO, "Una maceta, cuatro plantas"), (ASSIGNMENT, "Tu calendario de siembra")),
    ),
    "AST130": DemoCourse(
        org="MesetaX",
        title="Astronomía a simple vista",
        language="es",
        highlights=(("Orientarse con la Osa Mayor",), ("Las fases de la Luna",)),
        items=((VIDEO, "El cielo de esta noche"), (QUIZ, "¿Planeta o estrella?")),
    ),
}
