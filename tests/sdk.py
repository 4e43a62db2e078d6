"""The types of Telnyx's own SDK as a judge: what they would refuse in a webhook, and what they do not know in it.

The SDK itself builds its objects without a check (`construct`), so that anything passes. Here pydantic validates each body
strictly by the same classes, and fields that no class has are told apart.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import pydantic
from telnyx.types import UnwrapWebhookEvent

from callpath.wire.document import Json

_PAYLOAD = "data.payload."

SEEN_ON_THE_WIRE = {
    "*": {"calling_party_type"},
    "call.initiated": {"from_sip_uri", "to_sip_uri"},
    "call.answered": {"codec", "sampling_rate"},
    "call.bridged": {"start_time"},
    "call.hangup": {"end_time", "telnyx_error"},
    "call.speak.started": {"speak_id"},
    "call.speak.ended": {"speak_id"},
    "call.gather.ended": {"gather_id"},
    "call.recording.saved": {"call_control_id", "end_time", "format", "recording_id", "start_time"},
}
"""Fields of payloads that Telnyx sends, by captures of real calls and its documentation, and that its SDK (4.189.0,
November 2026) has no name for. By event; the first is for all."""


@cache
def event_models() -> dict[str, type[pydantic.BaseModel]]:
    """The class of each kind of webhook, by its event_type."""
    found: dict[str, type[pydantic.BaseModel]] = {}
    for model in typing.get_args(UnwrapWebhookEvent):
        whole = "data" in model.model_fields
        for data in _classes(model.model_fields["data"].annotation) if whole else [model]:
            field = data.model_fields.get("event_type")
            for name in _literals(field.annotation if field is not None else None):
                found.setdefault(name, model)
    return found


def problems(document: Json) -> list[str]:
    """What the SDK's classes find wrong with a webhook, and the fields in it that they do not know."""
    name = document["data"]["event_type"]
    model = event_models().get(name)
    if model is None:
        return [f"{name}: the SDK has no class for it"]
    try:
        whole = "data" in model.model_fields  # or else the class is for what is within
        event = model.model_validate_json(json.dumps(document if whole else document["data"]), strict=True)
    except pydantic.ValidationError as error:
        return [f"{name}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    known = SEEN_ON_THE_WIRE["*"] | SEEN_ON_THE_WIRE.get(name, set())
    found = set(unknown_fields(event, "" if whole else "data.")) - {"meta", *(_PAYLOAD + field for field in known)}
    return [f"{name}: {path}: no such field" for path in sorted(found)]


def unknown_fields(value: Any, path: str = "") -> Iterator[str]:
    """Fields that a parsed object has and its class does not name."""
    match value:
        case pydantic.BaseModel():
            yield from (f"{path}{name}" for name in value.model_extra or {})
            for name in type(value).model_fields:
                yield from unknown_fields(getattr(value, name), f"{path}{name}.")
        case list():
            for item in value:
                yield from unknown_fields(item, path)
        case _:
            pass


def _classes(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [found for one in typing.get_args(annotation) for found in _classes(one)]


def _literals(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return [one for one in typing.get_args(annotation) if isinstance(one, str)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [found for one in typing.get_args(annotation) for found in _literals(one)]
    return []
