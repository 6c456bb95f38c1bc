"""The demo's learners: who they are, where they enrolled how many days ago, and what is special about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Twist(StrEnum):
    """What keeps a learner of the demo from the ordinary course of things, as an operator would say it."""

    NONE = ""
    NO_EXPERIENCE = "the schedule's experience row is missing"
    LEFT = "left the course"
    DEACTIVATED = "the account is not active"
    NO_PASSWORD = "the account has no usable password"  # noqa: S105
    CATEGORY_OFF = "switched course reminders off"
    UNSUBSCRIBED = "wants no mail at all"
    FIRST_COURSE_OFF = "wants no mail about the first of the courses"
    ALL_COURSES_OFF = "wants no mail about any of the courses"
    SUPPRESSED = "the address bounced"
    NO_ADDRESS = "has no address"
    BAD_ADDRESS = "came with an address that is none"
    HELD_BACK = "belongs to the share of enrolments without a schedule"
    VERIFIED = "is on the verified track already"
    FIRST_COURSE_VERIFIED = "is on the verified track of the first of the courses"
    COMPLETED = "has completed the course"
    REPORTS_OFF = "switched weekly reports off"


@dataclass(frozen=True)
class Learner:
    """One learner; `enrolled` are (number of a course, days ago)."""

    username: str
    name: str
    enrolled: tuple[tuple[str, int], ...]
    language: str = "en"
    zone: str = "Europe/London"
    twist: Twist = Twist.NONE


MADRID, LONDON, KOLKATA = "Europe/Madrid", "Europe/London", "Asia/Kolkata"
NEW_YORK, MEXICO, AUCKLAND = "America/New_York", "America/Mexico_City", "Pacific/Auckland"

DUE_ON_DAY_3 = (
    Learner("ada", "Ada Whitcombe", (("NAV101", 3),)),
    Learner("ben", "Ben O'Hara", (("NAV101", 3),), "en", NEW_YORK),
    Learner("chandra", "Chandra Iyer", (("NAV101", 3),), "en", KOLKATA),
    Learner("diego", "Diego Marín", (("NAV101", 3),), "es", MADRID),
    Learner("esme", "Esme Tūhoe", (("WTR110", 3),), "en", AUCKLAND),
    Learner("felipe", "Felipe Ortega", (("WTR110", 3),), "es", MEXICO),
    Learner("grace", "Grace Lindqvist", (("KNT120", 3),)),
    Learner("hana", "Hana Novotná", (("NAV101", 3),), twist=Twist.VERIFIED),
    Learner("ivan", "Iván Peña", (("FOT101", 3),), "es", MADRID),
    Learner("julia", "Julia Castro", (("FOT101", 3),), "es", MEXICO),
    Learner("kofi", "Kofi Mensah", (("FOT101", 3),), "en", LONDON),
    Learner("lucia", "Lucía Robles", (("COC110", 3),), "es", MADRID),
    Learner("mina", "Mina Sato", (("NAV101", 3),), "en", AUCKLAND, Twist.NO_EXPERIENCE),
)

DUE_ON_DAY_10 = (
    Learner("nadia", "Nadia Haddad", (("NAV101", 10),)),
    Learner("omar", "Omar Farouk", (("WTR110", 10),), "en", NEW_YORK),
    # The deadline of this course is seven days, so on day 10 there is nothing left to offer.
    Learner("petra", "Petra Engel", (("KNT120", 10),)),
    Learner("quique", "Enrique Soler", (("NAV101", 10),), "es", MADRID),
    Learner("rosa", "Rosa Jiménez", (("FOT101", 10),), "es", MEXICO),
    Learner("sunil", "Sunil Rao", (("COC110", 10),), "en", KOLKATA),
)

SEVERAL_COURSES = (
    Learner("tess", "Tess Moreau", (("NAV101", 3), ("WTR110", 10)), "en", NEW_YORK),
    Learner("ulises", "Ulises Vega", (("FOT101", 3), ("COC110", 10)), "es", MADRID),
    Learner("vera", "Vera Kowalska", (("NAV101", 3), ("WTR110", 3), ("KNT120", 3))),
    Learner("wen", "Wen Li", (("FOT101", 10), ("COC110", 10)), "en", AUCKLAND),
    # One learner, one occasion, two sites: whichever runs first sends the one mail.
    Learner("bo", "Bo Andersen", (("NAV101", 3), ("FOT101", 3)), "en", LONDON),
    Learner("olive", "Olive Grant", (("NAV101", 3), ("WTR110", 3)), twist=Twist.FIRST_COURSE_OFF),
    Learner("arlo", "Arlo Fine", (("NAV101", 3), ("WTR110", 3)), twist=Twist.ALL_COURSES_OFF),
)

#: Deadlines are 21 days after the enrolment, and in KNT120 7 days: two days are left.
DUE_A_REMINDER = (
    Learner("rhys", "Rhys Morgan", (("NAV101", 19),)),
    Learner("ramon", "Ramón Gallego", (("FOT101", 19),), "es", MADRID),
    Learner("sofia", "Sofia Lindgren", (("NAV101", 19), ("SGN140", 19), ("KNT120", 5)), "en", NEW_YORK),
    # One of the two is upgraded already, so the mail is about the other one.
    Learner("silas", "Silas Wood", (("SGN140", 19), ("NAV101", 19)), twist=Twist.FIRST_COURSE_VERIFIED),
)

DUE_AN_UPDATE = (
    Learner("willa", "Willa Stone", (("GRD130", 7),)),
    Learner("wim", "Wim de Vries", (("GRD130", 14),), "en", NEW_YORK),
    # Updates are off at this site, and on for this course.
    Learner("yago", "Yago Soto", (("HUE120", 7),), "es", MADRID),
    Learner("yara", "Yara Campos", (("HUE120", 14),), "es", MEXICO),
)

#: Their day was yesterday, or the days before, when the demo did not exist yet: the run catches up.
CAUGHT_UP = (
    Learner("lara", "Lara Okafor", (("WTR110", 4),), "en", NEW_YORK),
    Learner("leo", "Leo Ferrer", (("FOT101", 12),), "es", MADRID),
    Learner("rufus", "Rufus Hale", (("NAV101", 20),)),
    Learner("xenia", "Xenia Pappas", (("GRD130", 10),), "en", KOLKATA),
)

NOT_DUE = (
    Learner("freya", "Freya Holm", (("NAV101", 1),), twist=Twist.REPORTS_OFF),
    Learner("bea", "Bea Nolan", (("WTR110", 7),), "en", NEW_YORK),
    Learner("lorenzo", "Lorenzo Gil", (("FOT101", 30),), "es", MEXICO, Twist.COMPLETED),
    Learner("uma", "Uma Pillai", (("GRD130", 3),), "en", KOLKATA),
    Learner("liam", "Liam Byrne", (("NAV101", 3),), twist=Twist.LEFT),
    Learner("ines", "Ines Prat", (("FOT101", 3),), "es", MADRID, Twist.DEACTIVATED),
    Learner("noor", "Noor Aziz", (("NAV101", 3),), twist=Twist.NO_PASSWORD),
    Learner("tom", "Tom Baker", (("BLD200", 3),)),
    Learner("tara", "Tara Quinn", (("LGT210", 3),), "en", NEW_YORK),
    Learner("theo", "Theo Blanc", (("NGT220", 3),)),
    Learner("hugo", "Hugo Lang", (("NAV101", 3),), twist=Twist.HELD_BACK),
    Learner("viggo", "Viggo Dahl", (("NAV101", 19),), twist=Twist.VERIFIED),
    Learner("xavi", "Xavi Puig", (("RAD230", 19),), "es", MADRID),
    # The course has highlights for two weeks.
    Learner("wendy", "Wendy Cole", (("GRD130", 21),), "en", NEW_YORK),
    Learner("zoe", "Zoe Arias", (("AST130", 7),), "es", MADRID),
)

NOT_WANTED = (
    Learner("nora", "Nora Finch", (("NAV101", 3),), twist=Twist.CATEGORY_OFF),
    Learner("nestor", "Néstor Ibarra", (("FOT101", 3),), "es", MEXICO, Twist.UNSUBSCRIBED),
    Learner("bruno", "Bruno Keller", (("WTR110", 10),), twist=Twist.SUPPRESSED),
    Learner("nils", "Nils Berg", (("NAV101", 3),), twist=Twist.NO_ADDRESS),
    Learner("basia", "Basia Wójcik", (("NAV101", 10),), twist=Twist.BAD_ADDRESS),
)

LEARNERS = (
    *DUE_ON_DAY_3,
    *DUE_ON_DAY_10,
    *SEVERAL_COURSES,
    *DUE_A_REMINDER,
    *DUE_AN_UPDATE,
    *CAUGHT_UP,
    *NOT_DUE,
    *NOT_WANTED,
)
