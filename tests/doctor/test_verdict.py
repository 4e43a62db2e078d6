"""The JSON document: its shape is a promise."""

from __future__ import annotations

import json

from callpath.doctor.engine import judge
from callpath.doctor.facts import Facts
from callpath.doctor.report import document
from callpath.doctor.report.document import SCHEMA_VERSION
from callpath.doctor.rules.sample import NGINX_404, answer, media, upgrade

KEYS = {
    "schema_version", "url", "started_unix_ms", "duration_ms", "healthy", "decided", "exit_code", "verdict", "undecided",
    "findings", "notes", "ruled_out", "not_checked", "steps", "platform", "suspects", "proven", "unproven",
    "call", "sources", "heading", "level", "unwaited", "local", "traffic", "reproduce", "next_steps",
}  # fmt: skip
VERDICT_KEYS = {"code", "slug", "title", "layer", "owner", "confidence", "why", "fix", "evidence", "summary"}


def test_every_key_is_always_there() -> None:
    """Programs read this: a key that comes and goes breaks them on the rare day."""
    for facts in (Facts(), media(), upgrade(answer(404, NGINX_404)), upgrade(answer(418))):
        found = json.loads(json.dumps(document(judge("wss://voice.example.com/", facts))))

        assert set(found) == KEYS
        assert found["schema_version"] == SCHEMA_VERSION


def test_a_verdict_has_all_that_a_ticket_needs() -> None:
    """Cause, owner, why, fix, evidence."""
    found = document(judge("wss://voice.example.com/", upgrade(answer(404, NGINX_404))))

    assert set(found["verdict"]) >= VERDICT_KEYS
    assert found["verdict"]["slug"] == "proxy-location-missing"
    assert found["undecided"] is None
    assert found["healthy"] is False


def test_what_is_not_decided_is_no_verdict() -> None:
    """A program that reads `verdict.slug` must not be told a guess."""
    found = document(judge("wss://voice.example.com/", upgrade(answer(418))))

    assert found["verdict"] is None
    assert found["undecided"]["question"]
    assert (found["healthy"], found["exit_code"]) == (None, 4)
