"""Codes that somebody uploads: one a line, known and repeated ones left out by name of their line."""

from __future__ import annotations

from dataclasses import dataclass, field

from courses.bulk import insert_if_absent, retry_on_deadlock, slices

from .models import Coupon, CouponCode

LONGEST = 128
BATCH = 1000


@dataclass(frozen=True)
class Uploaded:
    """How many codes are new, and of which lines there is none: {line number: why}."""

    stored: int = 0
    left_out: dict[int, str] = field(default_factory=dict)


@retry_on_deadlock
def upload(coupon: Coupon, text: str) -> Uploaded:
    """Store the codes of a text as free ones of a coupon, in the order of its lines; blank lines count for nothing."""
    first_line: dict[str, int] = {}
    left_out: dict[int, str] = {}
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        code = line.strip()
        if not code:
            continue
        if len(code) > LONGEST or not code.isprintable():
            left_out[number] = f"is no code: 1 to {LONGEST} characters that can be printed"
        elif code in first_line:
            left_out[number] = f"repeats line {first_line[code]}"
        else:
            first_line[code] = number
    stored: set[str] = set()
    for batch in slices(first_line, BATCH):
        rows = [CouponCode(coupon=coupon, code=code) for code in batch]
        stored |= {row.code for row in insert_if_absent(CouponCode, rows, unique_field=["coupon", "code"])}
    left_out |= {number: "is known already" for code, number in first_line.items() if code not in stored}
    return Uploaded(len(stored), dict(sorted(left_out.items())))
