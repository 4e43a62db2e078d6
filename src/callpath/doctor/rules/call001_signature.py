"""CALL001: webhooks came and were not taken for Telnyx's: signature, body and public key do not fit."""

from __future__ import annotations

from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts, RefusalFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import GOOD, RANG, call, refusals


def check(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "bad_signature", "unsigned", "bad_timestamp")
    if not rows:
        return None
    unsigned = all(row.reason == "unsigned" for row in rows)
    return Finding(
        f"{len(rows)} of the latest webhooks were refused as not authentic: {rows[0].detail}",
        tuple(f"{row.reason} from {row.client or 'unknown'}: {row.detail}" for row in rows[:4]),
        confidence="medium" if unsigned else "high",
        fix="Nobody but Telnyx signs: these requests came from somebody else, or something in front drops the headers "
        "telnyx-signature-ed25519 and telnyx-timestamp. Let them pass."
        if unsigned
        else "",
    )


RULE = Rule(
    code="CALL001",
    slug="webhook-signature-refused",
    title="Webhooks come and are refused: the signature does not fit",
    layer="webhook",
    owner="you",
    why="A webhook that cannot be told from a forged one is answered 401, and Telnyx repeats most 4xx never: the call is "
    "not answered, the caller hears it ring. Mostly TELNYX_PUBLIC_KEY is of another account, or a proxy or middleware "
    "changed the body.",
    fix="Copy the public key of the account that owns the number: Telnyx portal, Keys & Credentials, Public Key → "
    "TELNYX_PUBLIC_KEY. It is not the API key. If it is right, something before the server rewrites the body.",
    check=check,
    examples=(
        Example("a signature that does not fit, and no call", Facts(call(), refusals("bad_signature")), fires=True),
        Example("one that came while a call was on", Facts(call(RANG), refusals("bad_signature")), fires=True),
        Example("a call whose webhooks all came", Facts(call(GOOD), refusals("bad_signature")), fires=False),
        Example("nothing was refused", Facts(call(), RefusalFacts(count=0, latest=())), fires=False),
        Example("no call log was read", nothing(), fires=None),
    ),
)
