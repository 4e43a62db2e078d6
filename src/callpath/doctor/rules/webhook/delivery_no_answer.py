"""TELNYX022: webhooks get no answer."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding, Owner
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key

_CODES: dict[str, tuple[str, str, Owner]] = {
    # Telnyx's code: what it says, what fixes it, whose it is
    "75001": ("the name could not be resolved", "Create the DNS record of the webhook URL's host.", "you"),
    "75002": (
        "the connection was refused",
        "Start the server, and let it listen on 0.0.0.0 and the right port.",
        "you",
    ),
    "75003": ("the certificate is not valid for that name", "Get a certificate for the webhook URL's host.", "you"),
    "75004": ("the certificate has expired", "Renew the certificate of the webhook URL's host.", "you"),
    "75006": ("the certificate is self-signed", "Get a certificate of a public authority, Let's Encrypt say.", "you"),
}
"""From Telnyx's list of error codes."""


def check(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status is not None:
        return None
    code = next((code for code in failure.codes if code in _CODES), "")
    if not code:
        return Finding("Telnyx got no answer to its newest webhook", failure.evidence)
    words, fix, owner = _CODES[code]
    return Finding(
        f"Telnyx could not deliver its newest webhook: {words} ({code})", failure.evidence, fix=fix, owner=owner
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX022",
    slug="webhook-unreachable",
    title="Telnyx's webhooks get no answer",
    owner="you",
    why="Telnyx cannot open a connection to the webhook URL, or gets no answer in two seconds: DNS, TLS, firewall, or "
    "a server that is down.",
    fix="Run `callpath doctor url` with the audio URL of the same host: it names the layer that fails.",
    named={
        "the name leads nowhere": delivered(delivery(None, errors=[75001])),
        "no answer, for no known reason": delivered(delivery(None)),
        "codes as objects": delivered(delivery(None, errors=[{"code": "75004", "title": "x"}])),
    },
    quiet={
        "it was answered, wrongly": delivered(delivery(502)),
        "fixed since": delivered(delivery(None, at=1), delivery(200, at=2)),
    },
    unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
)
