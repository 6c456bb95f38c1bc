"""The contracts of events …"""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import pytest
from openedx_events.event_bus.avro.schema import schema_from_signal
from openedx_events.tooling import OpenEdxPublicSignal

from courses import events
from courses.eventbus import envelope
from courses.events import SIGNALS, TYPES
from tests.courses.eventbus.helpers import NOON, assignment, code_assignment, failure, request

SCHEMAS = Path(__file__).parent / "schemas"
VALUES: dict[str, Any] = {
    "license-request.approved": request(),
    "coupon-code-request.approved": events.CouponCodeRequestData(
        uuid=uuid4(),
        lms_user_id=7,
        enterprise_customer_uuid=uuid4(),
        coupon_id=5,
        reviewed_at=NOON,
        reviewer_lms_user_id=9,
        attempt=1,
        learner_requests_in_action=3,
        attempt_auto_enrollment=True,
    ),
    "license.assigned": assignment(),
    "coupon-code.assigned": code_assignment(),
    "license.assignment-failed": failure(),
    "coupon-code.assignment-failed": failure("no_free_code"),
}


def name(signal: OpenEdxPublicSignal) -> str:
    """Return how a test names a contract."""
    return ".".join(signal.event_type.split(".")[-3:-1])


def told_by(signal: OpenEdxPublicSignal) -> dict[str, Any]:
    """Return data that the contract allows."""
    (key,) = signal.init_data
    return {key: VALUES[name(signal)]}


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_are_what_was_published_once(signal: OpenEdxPublicSignal) -> None:
    kept = json.loads((SCHEMAS / f"{signal.event_type}.avsc").read_text(encoding="utf-8"))
    assert schema_from_signal(signal) == kept, "a published contract never changes: make a new type .v2"


def test_are_all_kept() -> None:
    assert {path.name.removesuffix(".avsc") for path in SCHEMAS.iterdir()} == TYPES


def test_are_known_before_the_events_of_open_edx_start() -> None:
    assert set(SIGNALS) <= set(OpenEdxPublicSignal.all_events())
    assert {signal.event_type for signal in SIGNALS} == {
        "org.openedx.enterprise.access.license-request.approved.v1",
        "org.openedx.enterprise.access.coupon-code-request.approved.v1",
        "org.openedx.license-manager.license.assigned.v1",
        "org.openedx.ecommerce.coupon-code.assigned.v1",
        "org.openedx.license-manager.license.assignment-failed.v1",
        "org.openedx.ecommerce.coupon-code.assignment-failed.v1",
    }
    assert events.TOPIC == "enterprise-subsidy-requests"


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_come_back_from_the_wire_as_they_went(signal: OpenEdxPublicSignal) -> None:
    headers = envelope.headers_of(signal.generate_signal_metadata())
    assert envelope.data_of(headers, envelope.serialised(signal, told_by(signal))) == told_by(signal)


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_are_read_from_a_producer_that_has_appended_a_field(signal: OpenEdxPublicSignal) -> None:
    schema = schema_from_signal(signal)
    (key,) = signal.init_data
    record = schema["fields"][0]["type"]
    record["fields"] += [{"name": "colour", "type": "string"}, {"name": "since", "type": ["null", "long"]}]
    plain = json.loads(json.dumps(told_by(signal), default=_as_avro))
    plain[key] |= {"colour": "blue", "since": 7}
    wire = io.BytesIO()
    fastavro.schemaless_writer(wire, schema, plain)
    headers = envelope.headers_of(signal.generate_signal_metadata())
    assert envelope.data_of(headers, wire.getvalue()) == told_by(signal)


def _as_avro(value: Any) -> Any:
    import attr

    if attr.has(type(value)):
        return attr.asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


@pytest.mark.parametrize("signal", SIGNALS, ids=name)
def test_have_no_default_for_what_may_be_falsy(signal: OpenEdxPublicSignal) -> None:
    ((_, data),) = signal.init_data.items()
    optional = [field for field in data.__attrs_attrs__ if field.default is None]
    assert {field.type for field in optional} <= {str}


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("source", "", "missing header: source"),
        ("id", "7", "unreadable header: id"),
        ("time", "yesterday", "unreadable header: time"),
        ("time", "2026-01-01T00:00:00", "unreadable header: time"),
        ("minorversion", "x", "unreadable header: minorversion"),
        ("sourcelib", "x", "unreadable header: sourcelib"),
        ("type", "org.openedx.nothing.v1", "unknown type"),
    ],
)
def test_have_headers_without_which_nobody_can_read_them(header: str, value: str, problem: str) -> None:
    headers = envelope.headers_of(SIGNALS[0].generate_signal_metadata())
    assert envelope.problem_of(headers) == ""
    assert envelope.problem_of(headers | {header: value}) == problem
    del headers[header]
    assert envelope.problem_of(headers) == f"missing header: {header}"


def test_headers_survive_the_wire() -> None:
    metadata = SIGNALS[0].generate_signal_metadata()
    assert envelope.metadata_of(envelope.headers_of(metadata)) == metadata


def test_show_of_a_coupon_code_its_last_four_characters() -> None:
    signal = events.COUPON_CODE_ASSIGNED
    headers = envelope.headers_of(signal.generate_signal_metadata())
    for code, shown in (("SAVE-ALL-4711", "…4711"), ("4711", "…"), ("ÄÖÜß€", "…ÖÜß€")):
        payload = envelope.serialised(signal, {"assignment": code_assignment(code)})
        assert envelope.shown(headers, payload)["assignment"]["code"] == shown
    assert envelope.shown(headers, b"SAVE-ALL-4711") == {"problem": "unreadable data: EOFError", "bytes": 13}
