"""MACHINE005: something between this machine and the world signs every certificate anew."""

import re
from dataclasses import replace
from typing import Any

from callpath.doctor.facts import ControlFacts, Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import certificate, control, tls, url

INSPECTORS = re.compile(
    r"Zscaler|Netskope|Forti(net|Gate)|Palo Alto|Blue ?Coat|Symantec Web|Cisco (Umbrella|Secure)|Sophos|Check ?Point|"
    r"ESET SSL|Kaspersky|avast|AVG|Bitdefender|McAfee|Skyhigh|Barracuda|WatchGuard|Untangle|Squid|mitmproxy|Charles|"
    r"Fiddler|Burp|Cloudflare (Gateway|for Teams)|Menlo|iboss|Lightspeed|Securly|GoGuardian",
    re.IGNORECASE,
)
"""Products that decrypt the traffic of a network or a machine, as they name the authority they sign with."""


def check(facts: Facts) -> Finding | None:
    control, looked = facts[ControlFacts], facts[TlsFacts]
    if control.tls is None or control.mozilla in {None, "ok"}:
        return None
    if looked.carrier.outcome == "ok" and looked.mozilla != "untrusted":
        return None
    if control.mozilla == "untrusted":
        found = INSPECTORS.search(control.tls_issuer)
        whom = found.group() if found else control.tls_issuer or "an authority of its own"
        return Finding(
            f"this machine sits behind the TLS inspection of {whom}: {control.host} comes with its certificate, too; "
            "nothing can be said about the URL",
            (
                f"{control.host}: signed by {control.tls_issuer}",
                *(f"the URL: signed by {c.issuer}" for c in looked.chain[-1:]),
            ),
            kind="open",
            question=f"What signs https://{control.host} here? openssl s_client -connect {control.host}:443 "
            "</dev/null. Run again from a network without inspection.",
        )
    return Finding(
        f"TLS does not work from this machine: the handshake with {control.host} fails, too ({control.tls}); nothing "
        "can be said about the URL",
        (f"{control.host}: {control.tls}", f"the URL: {looked.carrier.outcome} {looked.carrier.reason}".rstrip()),
        kind="open",
        question="Does it work from another network?",
    )


def _untrusted(*more: object, **fields: Any) -> Facts:
    facts = tls("untrusted", certificate(issuer="CN=R11"), verify_code=20, verify_message="unable to get local issuer")
    return Facts(url(), replace(facts[TlsFacts], **fields), *more)


CAUSE = Cause.of(
    "url",
    check,
    code="MACHINE005",
    slug="machine-tls-inspected",
    title="This machine sits behind TLS inspection",
    owner="network",
    why="The same step fails where it is known to work, so the failure says nothing about the URL.",
    fix="Fix the machine or network that the doctor runs on (dig api.telnyx.com, curl -sI https://api.telnyx.com), "
    "or run it from another.",
    named={
        "the control comes with a foreign certificate, too": _untrusted(
            control(tls="untrusted", mozilla="untrusted", tls_issuer="CN=Zscaler Root CA")
        )
    },
    quiet={"the control is trusted": _untrusted(control())},
    unchecked={"no control was measured": tls("untrusted")},
)
