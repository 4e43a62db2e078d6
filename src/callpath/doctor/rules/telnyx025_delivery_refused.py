"""TELNYX025: our own server refuses the webhooks."""

from __future__ import annotations

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key

_FIXES = {
    "bad_signature": "Copy the account's public key from the portal (Keys & Credentials, Public Key) to TELNYX_PUBLIC_KEY "
    "and restart. If it is right, a proxy rewrites bodies.",
    "unsigned": "Something on the way drops the headers telnyx-signature-ed25519 and telnyx-timestamp: let it pass them.",
    "stale": "Set the server's clock (NTP): more than 300 s off, every signature counts as too old.",
    "api_version_1": 'Set webhook_api_version of the application to "2": `callpath doctor account --fix`.',
}


def check(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status not in (400, 401) or not failure.by_callpath:
        return None
    reason = next((reason for reason in _FIXES if f'"{reason}"' in failure.body), "")
    return Finding(
        f"the callpath server refused the newest webhook with {failure.status} {reason}".rstrip(),
        failure.evidence,
        fix=_FIXES.get(reason, ""),
    )


def ours(status: int, reason: str) -> Facts:
    return delivered(delivery(status, f'{{"error":"{reason}","detail":"told"}}', headers=[["x-callpath", "0.1"]]))


RULE = Rule(
    code="TELNYX025",
    slug="webhook-signature-refused",
    title="The server itself refuses Telnyx's webhooks",
    layer="webhook",
    owner="you",
    why="A webhook whose signature does not fit could come from anybody, so it is not taken.",
    fix="See the reason in the answer that Telnyx recorded.",
    masked_by=("TELNYX001", "TELNYX010", "TELNYX011", "TELNYX021"),
    check=check,
    examples=(
        Example("by its signature", ours(401, "bad_signature"), fires=True),
        Example("by the clock", ours(401, "stale"), fires=True),
        Example("a body that is none", ours(400, "not_json"), fires=True),
        Example("another program's 401", delivered(delivery(401)), fires=False),
        Example("mended since", delivered(delivery(401, at=1, headers=[["x-callpath", "1"]]), delivery(200, at=2)),
                fires=False),
        Example("no webhook within a day", delivered(), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)  # fmt: skip
