"""Telnyx's documents: read leniently, kept whole.

Telnyx adds fields without notice, and real messages differ from the documented schema (`client_state` is null, not
absent). So a document is read into a typed part; whatever that part would lose stands in `extra`, itself a document.
`write` merges the two and gives back what came in. In code that builds messages, `extra` is the way to send a field
that callpath has no name for.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, TypeVar

import msgspec

from callpath.errors import RemoteProtocolError

Json = dict[str, Any]
"""A JSON object as Python sees it."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of a document. An absent field is None; None is not written."""


class Document(Part, frozen=True, kw_only=True):
    """The outermost part. `extra` holds what came with it and has no field here."""

    extra: Json = msgspec.field(default_factory=dict)


P = TypeVar("P", bound=Part)


def parse_json(text: str | bytes, what: str) -> Json:
    """Decode one JSON object. Raises RemoteProtocolError (`not_json`, `wrong_shape`)."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError("not_json", f"{what} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RemoteProtocolError("wrong_shape", f"{what} is not a JSON object")
    return document


_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def decode_foreign(text: str) -> Any:
    """Decode JSON that any program may have written: NaN is read, and half of a surrogate pair (a text cut in the middle of
    a character), which no file and no terminal takes, becomes U+FFFD. Raises ValueError, also where it is nested too deep.
    """
    try:
        return json.loads(_LONE_SURROGATE.sub(r"\\ufffd", text))
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def read(cls: type[P], document: Any, what: str) -> P:
    """Read `document` into `cls`; `what` names it in errors.

    A field of the wrong type is treated as unknown (it stays in `extra`), unless `cls` requires it.
    Raises RemoteProtocolError (`wrong_shape`) when a required field is missing or has the wrong type.
    """
    if not isinstance(document, dict):
        raise RemoteProtocolError("wrong_shape", f"{what} is not a JSON object")
    values: Json = {}
    for field in _fields(cls):
        if field.name == "extra":
            continue
        value = document.get(field.encode_name)
        if value is None and not field.required:
            continue
        try:
            values[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            if field.required:
                problem = f"lacks {field.encode_name}" if value is None else f"{field.encode_name}: {error}"
                raise RemoteProtocolError("wrong_shape", f"{what} {problem}") from None
    if not issubclass(cls, Document):
        return cls(**values)
    part = cls(**values)
    return cls(**values, extra=difference(document, write(part)))


def write(part: Part) -> Json:
    """The document of `part`, with its `extra` merged in."""
    document: Json = msgspec.to_builtins(part)
    extra = document.pop("extra", None)
    return merge(document, extra) if extra else document


def difference(document: Json, known: Json) -> Json:
    """What `document` holds beyond `known`: `merge(known, difference(document, known)) == document`."""
    rest: Json = {}
    for key, value in document.items():
        if key not in known:
            rest[key] = value
        elif isinstance(value, dict) and isinstance(known[key], dict):
            if inner := difference(value, known[key]):
                rest[key] = inner
        elif value != known[key] or type(value) is not type(known[key]):
            rest[key] = value
    return rest


def merge(document: Json, extra: Json) -> Json:
    """`document` with `extra` laid over it, objects merged key by key."""
    merged = dict(document)
    for key, value in extra.items():
        ours = merged.get(key)
        merged[key] = merge(ours, value) if isinstance(ours, dict) and isinstance(value, dict) else value
    return merged


@cache
def _fields(cls: type[Part]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(cls)
