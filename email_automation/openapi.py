"""Words of OpenAPI in which the APIs of the apps describe themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def an_object(**properties: Any) -> Object:
    """Return an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def or_null(schema: Object) -> Object:
    """Return a schema that null fits too."""
    return {"oneOf": [schema, {"type": "null"}]}


def ref(name: str) -> Object:
    """Return a reference to a schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(description: str, schema: Object) -> Object:
    """Return a response in JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def errors(sentences: Mapping[int, str], *statuses: int) -> Object:
    """Return the responses that are errors, each with its sentence; the schema is the component `Error`."""
    answers = {str(status): answer(sentences[status], ref("Error")) for status in statuses}
    if 429 in statuses:
        answers["429"]["headers"] = {
            "Retry-After": {"description": "Whole seconds.", "required": True, "schema": {"type": "integer"}}
        }
    return answers


def body(schema: Object) -> Object:
    """Return a request body in JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def in_path(name: str, description: str, **schema: Any) -> Object:
    """Return a parameter of the path, a text."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", **schema},
    }


SECURITY: Object = {
    "session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
}
