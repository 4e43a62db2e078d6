"""MACHINE004: the roots of this machine are missing or old."""

from dataclasses import replace
from typing import Any

from callpath.doctor.facts import ControlFacts, Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import certificate, tls, url


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.system_rejects:
        held = "holds no root at all" if looked.system_roots == 0 else "rejects the chain"
        return Finding(
            f"this machine's trust store {held} ({looked.system_rejects}); the chain was checked against Mozilla's roots",
            (f"roots in this machine's store: {looked.system_roots}",),
            kind="note",
        )
    if looked.carrier.outcome != "untrusted" or looked.ca_given or looked.system_roots != 0:
        return None
    control = facts.get(ControlFacts)
    if control is not None and control.mozilla == "ok":
        return None  # Mozilla's roots are a store that works here
    return Finding(
        "this machine's trust store is empty: it holds no root, so that every certificate fails; nothing can be said "
        "about the URL",
        (f"verify: {looked.carrier.verify_message}", "roots in this machine's store: 0"),
        kind="open",
        question="Install the system's roots (Debian: apt-get install ca-certificates; python.org on macOS: run "
        "Install Certificates.command) or unset SSL_CERT_FILE, and run again.",
    )


def _untrusted(*more: object, **fields: Any) -> Facts:
    facts = tls("untrusted", certificate(issuer="CN=R11"), verify_code=20, verify_message="unable to get local issuer")
    return Facts(url(), replace(facts[TlsFacts], **fields), *more)


CAUSE = Cause.of(
    "url",
    check,
    code="MACHINE004",
    slug="machine-trust-store",
    title="This machine's trust store is empty or out of date",
    owner="network",
    why="The same step fails where it is known to work, so the failure says nothing about the URL.",
    fix="Fix the machine or network that the doctor runs on (dig api.telnyx.com, curl -sI https://api.telnyx.com), "
    "or run it from another.",
    named={"no root at all": _untrusted(system_roots=0, mozilla="untrusted")},
    quiet={"a full store": _untrusted(system_roots=140, mozilla="untrusted")},
)
