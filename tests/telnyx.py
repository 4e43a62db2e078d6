"""Telnyx's messages as they stand in tests/golden/telnyx, for tests to start from."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

GOLDEN = Path(__file__).parent / "golden" / "telnyx"
SAMPLES = GOLDEN / "samples"


def sample_text(name: str) -> str:
    """A sample's text, by its name in the manifest ("ws/t-start-pcmu.json")."""
    return (SAMPLES / name).read_text()


def sample(name: str) -> Any:
    """A sample as a document."""
    return json.loads(sample_text(name))


def start_text(session: str, name: str = "ws/t-start-pcmu.json") -> str:
    """A sample start frame for the audio socket of this call; one that names another call is refused."""
    document = sample(name)
    document["start"]["call_session_id"] = session
    return json.dumps(document)


@cache
def manifest() -> list[dict[str, Any]]:
    """Every sample: its file, its schema, how sure it is, where it is known to deviate."""
    return list(json.loads((SAMPLES / "manifest.json").read_text()))


@cache
def _registry() -> Registry[Any]:
    files = {path.name: json.loads(path.read_text()) for path in (GOLDEN / "spec").glob("*.json")}
    return Registry().with_resources(
        [(name, Resource.from_contents(content, default_specification=DRAFT202012)) for name, content in files.items()]
    )


@cache
def event_schemas() -> dict[str, str]:
    """The schema of each kind of webhook, by its event_type."""
    rows = [row for row in manifest() if row["file"].startswith("webhooks/") and "v1-" not in row["file"]]
    return {sample(row["file"])["data"]["event_type"]: row["schema"] for row in rows}


def schema_at(reference: str) -> Any:
    """The schema itself, by a reference as in the manifest."""
    file, _, path = reference.partition("#/")
    node: Any = _registry().contents(file)
    for step in path.split("/"):
        node = node[step]
    return node


def validate(document: Any, schema: str) -> list[str]:
    """What is wrong with `document` by a schema of the manifest; empty when it fits.

    Each line begins with a pointer to the place.
    """
    validator = jsonschema.Draft202012Validator({"$ref": schema}, registry=_registry())
    return [
        "/" + "/".join(map(str, error.absolute_path)) + ": " + error.message
        for error in validator.iter_errors(document)
    ]
