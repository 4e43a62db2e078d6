"""Facts as JSON and back: what an examination saw, to be judged again by anybody at any time.

    {"kind": "url", "url": "wss://…", "facts": {"UrlFacts": {…}, "TlsFacts": {…}}, "steps": [...]}

`--json` of every doctor command holds these keys; `callpath doctor judge FILE` reads them. Bytes are base64; a call's
entries are as its timeline stores them, and its state is folded from them again. A fact or a field that this version
does not know is left out: an old file stays readable, and what it lacks is "not checked".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any

import msgspec

from callpath.doctor import facts as every_fact
from callpath.doctor.account import judge_account
from callpath.doctor.calls import call_facts
from callpath.doctor.engine import judge
from callpath.doctor.facts import AccountFacts, CallFacts, DeployFacts, EdgeFacts, Facts
from callpath.doctor.logged import judge_logs
from callpath.doctor.recorded import judge_call
from callpath.doctor.report import document, redacted
from callpath.doctor.report.redact import HIDDEN, hides
from callpath.doctor.rules import rules_of
from callpath.doctor.verdict import Diagnosis, Step
from callpath.errors import EvidenceError, RemoteProtocolError
from callpath.timeline import Entry, encode_what, parse_what
from callpath.wire.document import Json, parse_json
from callpath.wire.ids import CallControlId, LegId, SessionId

_KINDS: dict[str, type] = {
    name: kind
    for name in every_fact.__all__
    if is_dataclass(kind := getattr(every_fact, name)) and isinstance(kind, type)
}


def write_facts(facts: Facts) -> Json:
    """Every fact by its name."""
    written: Json = _plain({type(fact).__name__: _written(fact) for fact in facts})
    return written


def read_facts(written: Json) -> Facts:
    """The facts of `write_facts`. Raises EvidenceError where a known fact has another shape."""
    facts = Facts()
    for name, value in written.items():
        kind = _KINDS.get(name)
        if kind is None:
            continue
        try:
            facts.add(_call_facts(value) if kind is CallFacts else msgspec.convert(value, kind))
        except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"{name} in this file cannot be read: {error}. Was it edited?") from None
    return facts


def evidence(diagnosis: Diagnosis, secrets: Iterable[str] = ()) -> Json:
    """The document of a diagnosis with every fact in it: what `--json` prints. Secrets and numbers are hidden."""
    facts = diagnosis.facts
    written = {type(fact).__name__: _written(fact) for fact in facts}
    whole = document(diagnosis) | {"kind": _kind(facts), "facts": written}
    hidden: Json = _plain(_hidden(whole, tuple(secret for secret in secrets if secret), {}))
    return hidden


_PHONE = re.compile(r"\+(\d{4})\d{3,11}(?!\d)")


def _hidden(value: Any, secrets: tuple[str, ...], numbers: dict[str, str]) -> Any:
    """The value without secrets. A phone number keeps its first four digits, by which countries are told apart, and
    becomes one that is the same throughout."""
    match value:
        case str() if value.isdigit() and len(value) >= 10:
            return numbers.setdefault(value, f"[number {len(numbers) + 1}]")
        case str():
            text = _PHONE.sub(
                lambda found: numbers.setdefault(found.group(), f"+{found.group(1)}-{len(numbers) + 1:04}"), value
            )
            return redacted(text, None, secrets)
        case (str() as name, str() as text) if text and hides(name):  # a variable and its value
            return [name, HIDDEN]
        case list() | tuple():
            return [_hidden(item, secrets, numbers) for item in value]
        case dict():
            return {key: _hidden_item(key, item, secrets, numbers) for key, item in value.items()}
        case _:
            return value


def _hidden_item(key: Any, item: Any, secrets: tuple[str, ...], numbers: dict[str, str]) -> Any:
    """What a caller pressed, said or is called is hidden by the name of its field: the words themselves do not show it."""
    match item:
        case bytes() if key in _TEXT_IN_BYTES:
            return redacted(item.decode("latin-1"), None, secrets).encode("latin-1", "replace")
        case str() if key in _DIGITS:
            return "•" * len(item)
        case str() if item and (key in _PRIVATE or hides(str(key))):
            return HIDDEN
        case _:
            return _hidden(item, secrets, numbers)


_DIGITS = {"digit", "digits"}
"""Keys that somebody pressed: how many, not which."""

_PRIVATE = {"transcript", "caller_id_name", "client_state", "payload"}
"""Somebody's words and names; `payload` as text is what a command speaks (in a webhook it is an object)."""

_TEXT_IN_BYTES = {"body", "raw", "plain_answer", "silent_bytes"}
"""Bytes that are somebody's words; other bytes are audio."""


def _plain(value: Any) -> Any:
    """Bytes as base64, the rest as it is."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value


def judge_again(text: str | bytes) -> Diagnosis:
    """Judge what `--json` wrote. Raises EvidenceError where it holds no facts."""
    try:
        whole = parse_json(text, "the evidence")
    except RemoteProtocolError as error:
        raise EvidenceError(f"{error}: give what a doctor command printed with --json") from None
    inner = whole.get("diagnosis")
    found = inner if isinstance(inner, dict) and "facts" in inner else whole
    written = found.get("facts")
    if not isinstance(written, dict):
        raise EvidenceError('this file has no "facts": give what a doctor command printed with --json')
    facts = read_facts(written)
    try:
        steps = msgspec.convert(found.get("steps") or [], tuple[Step, ...])
    except msgspec.ValidationError as error:
        raise EvidenceError(f"the steps in this file cannot be read: {error}") from None
    return judge_facts(facts, url=str(found.get("url") or ""), steps=steps)


def judge_facts(facts: Facts, *, url: str = "", steps: tuple[Step, ...] = ()) -> Diagnosis:
    """Judge facts by the signs that fit their kind."""
    match _kind(facts):
        case "call" if facts[CallFacts].source == "logs":
            return judge_logs(facts, tuple(step for step in steps if step.name in _PROBE_STEPS))
        case "call":
            return judge_call(facts, tuple(step for step in steps if step.name in _PROBE_STEPS))
        case "account":
            return judge_account(facts, steps)
        case "files":
            return judge("", facts, steps, rules=rules_of("files"), fallbacks=(), works=_has_plans)
        case "edge":
            return judge("", facts, steps, rules=rules_of("edge"), fallbacks=(), works=lambda _: False)
        case _:
            return judge(url, facts, steps)


def _has_plans(facts: Facts) -> bool:
    return bool(facts[DeployFacts].plans)


_PROBE_STEPS = {"URL", "DNS", "TCP", "TLS", "upgrade", "media", "repeat", "idle"}


def _kind(facts: Facts) -> str:
    for kind, name in ((CallFacts, "call"), (DeployFacts, "files"), (AccountFacts, "account"), (EdgeFacts, "edge")):
        if kind in facts:
            return name
    return "url"


def _written(fact: object) -> Any:
    if isinstance(fact, CallFacts):
        return {
            "session": fact.session,
            "source": fact.source,
            "looked_at_unix_ms": fact.looked_at_unix_ms,
            "shown": sorted(fact.shown),
            "entries": [
                {
                    "at_unix_ms": entry.at_unix_ms,
                    "number": entry.number,
                    "key": entry.key,
                    "leg": entry.leg,
                    "call_control_id": entry.call_control_id,
                    "what": msgspec.json.decode(encode_what(entry.what)),
                }
                for entry in fact.entries
            ],
        }
    return msgspec.to_builtins(fact, str_keys=True, builtin_types=(bytes,))


def _call_facts(value: Json) -> CallFacts:
    session = SessionId(str(value["session"]))
    entries = [
        Entry(
            session=session,
            at_unix_ms=int(row["at_unix_ms"]),
            number=int(row.get("number") or 0),
            key=row.get("key"),
            leg=LegId(row["leg"]) if row.get("leg") else None,
            call_control_id=CallControlId(row["call_control_id"]) if row.get("call_control_id") else None,
            what=parse_what(msgspec.json.encode(row["what"])),
        )
        for row in value["entries"]
    ]
    return call_facts(
        session,
        entries,
        looked_at_unix_ms=int(value["looked_at_unix_ms"]),
        source="logs" if value.get("source") == "logs" else "timeline",
        shown=frozenset(value["shown"]),
    )
