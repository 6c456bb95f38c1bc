"""The form in which an event is kept and travels: headers beside the data in Avro."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import attr
from openedx_events.data import EventsMetadata
from openedx_events.event_bus.avro.deserializer import deserialize_bytes_to_event_data
from openedx_events.event_bus.avro.serializer import serialize_event_data_to_bytes
from openedx_events.tooling import OpenEdxPublicSignal

#: The field of an entry of the stream that holds the data; all others are headers.
DATA_FIELD: Final = b"event_data"
TYPE, ID = "type", "id"
#: Every producer of this bus writes these.
HEADERS: Final = (TYPE, ID, "source", "time", "minorversion", "sourcehost", "sourcelib")
#: Stands before bytes that are no text a database could keep.
ENCODED: Final = "base64:"


class Unreadable(ValueError):
    """An event that says too little, or nothing that its contract allows."""


def serialised(signal: OpenEdxPublicSignal, data: Mapping[str, Any]) -> bytes:
    """Return the data of an event as Avro. Raises TypeError or ValueError for what its contract does not allow."""
    if set(data) != set(signal.init_data):
        raise TypeError(f"{signal.event_type} takes exactly {', '.join(signal.init_data)}, not {', '.join(data)}")
    for name, kind in signal.init_data.items():
        if not isinstance(data[name], kind):
            raise TypeError(f"{name}: {type(data[name]).__name__} is not allowed; allowed is {kind.__name__}")
    payload: bytes = serialize_event_data_to_bytes(dict(data), signal)
    return payload


def headers_of(metadata: EventsMetadata) -> dict[str, str]:
    """Return the metadata of an event as texts."""
    return {
        TYPE: metadata.event_type,
        ID: str(metadata.id),
        "source": metadata.source,
        "time": metadata.time.isoformat(),
        "minorversion": str(metadata.minorversion),
        "sourcehost": metadata.sourcehost,
        "sourcelib": ".".join(map(str, metadata.sourcelib)),
    }


def headers_of_entry(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return everything beside the data in an entry of the stream, whatever it is, as texts that can be stored."""
    return {_text(name): _text(value) for name, value in fields.items() if name != DATA_FIELD}


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    return ENCODED + base64.b64encode(raw).decode() if "\0" in text else text


def problem_of(headers: Mapping[str, str]) -> str:
    """Return why nobody can tell what came, '' where the headers are complete and the type is one that is known."""
    if missing := [name for name in HEADERS if not headers.get(name)]:
        return f"missing header: {', '.join(missing)}"
    if signal_of(headers) is None:
        return "unknown type"
    try:
        metadata_of(headers)
    except Unreadable as error:
        return str(error)
    return ""


def signal_of(headers: Mapping[str, str]) -> OpenEdxPublicSignal | None:
    """Return the contract of an event, or None for a type that no contract is known of."""
    try:
        return OpenEdxPublicSignal.get_signal_by_type(headers.get(TYPE, ""))
    except KeyError:
        return None


def metadata_of(headers: Mapping[str, str]) -> EventsMetadata:
    """Return the metadata that headers tell. Raises Unreadable, naming the header."""
    read: dict[str, tuple[str, Callable[[str], Any]]] = {
        "event_type": (TYPE, str),
        "id": (ID, UUID),
        "source": ("source", str),
        "time": ("time", _instant),
        "minorversion": ("minorversion", int),
        "sourcehost": ("sourcehost", str),
        "sourcelib": ("sourcelib", lambda text: tuple(map(int, text.split(".")))),
    }
    values = {}
    for name, (header, convert) in read.items():
        try:
            values[name] = convert(headers[header])
        except (KeyError, ValueError):
            raise Unreadable(f"unreadable header: {header}") from None
    return EventsMetadata(**values)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without a zone")
    return instant.astimezone(UTC)


def data_of(headers: Mapping[str, str], payload: bytes) -> dict[str, Any]:
    """Return the data of an event: {name: contract object}. Raises Unreadable.

    What a newer producer has appended is left unread.
    """
    signal = signal_of(headers)
    if signal is None:
        raise Unreadable("unknown type")
    try:
        data: dict[str, Any] = deserialize_bytes_to_event_data(bytes(payload), signal)
    except Exception as error:  # whatever Avro, the contract's own checks and Unicode make of garbage
        raise Unreadable(f"unreadable data: {type(error).__name__}") from None
    return data


def shown(headers: Mapping[str, str], payload: bytes) -> dict[str, Any]:
    """Return the data of an event for people to look at, coupon codes cut to their last four characters.

    Of what cannot be read only the size is told, because nobody knows what it holds.
    """
    try:
        data = data_of(headers, payload)
    except Unreadable as error:
        return {"problem": str(error), "bytes": len(payload)}
    return {name: _masked(attr.asdict(value)) if attr.has(type(value)) else value for name, value in data.items()}


def _masked(values: dict[str, Any]) -> dict[str, Any]:
    return {name: masked(value) if name == "code" else value for name, value in values.items()}


def masked(code: str) -> str:
    """Return a coupon code of which only the last four characters are shown; a shorter one keeps none."""
    return "…" + (code[-4:] if len(code) > 4 else "")
