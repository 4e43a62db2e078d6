"""CALL001: webhooks came and were not taken for Telnyx's: signature, body and public key do not fit."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts, RefusalFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key
from callpath.doctor.rules.sample_call import GOOD, RANG, call, refusals


def call_signature(facts: Facts) -> Finding | None:
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


_FIXES = {
    "bad_signature": "Copy the account's public key from the portal (Keys & Credentials, Public Key) to "
    "TELNYX_PUBLIC_KEY and restart. If it is right, a proxy rewrites bodies.",
    "unsigned": "Something on the way drops the headers telnyx-signature-ed25519 and telnyx-timestamp: let it pass them.",
    "stale": "Set the server's clock (NTP): more than 300 s off, every signature counts as too old.",
    "api_version_1": 'Set webhook_api_version of the application to "2": `callpath doctor account --fix`.',
}


def telnyx_delivery_refused(facts: Facts) -> Finding | None:
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


CAUSE = Cause(
    code="CALL001",
    slug="webhook-signature-refused",
    title="Webhooks come and are refused: the signature does not fit",
    owner="you",
    why="A webhook that cannot be told from a forged one is answered 401, and Telnyx repeats most 4xx never: the call "
    "is not answered, the caller hears it ring. Mostly TELNYX_PUBLIC_KEY is of another account, or a proxy or "
    "middleware changed the body.",
    fix="Copy the public key of the account that owns the number: Telnyx portal, Keys & Credentials, Public Key → "
    "TELNYX_PUBLIC_KEY. It is not the API key. If it is right, something before the server rewrites the body.",
    signs=(
        Sign(
            "call",
            call_signature,
            named={
                "a signature that does not fit, and no call": Facts(call(), refusals("bad_signature")),
                "one that came while a call was on": Facts(call(RANG), refusals("bad_signature")),
            },
            quiet={
                "a call whose webhooks all came": Facts(call(GOOD), refusals("bad_signature")),
                "nothing was refused": Facts(call(), RefusalFacts(count=0, latest=())),
            },
        ),
        Sign(
            "account",
            telnyx_delivery_refused,
            code="TELNYX025",
            title="The server itself refuses Telnyx's webhooks",
            why="A webhook whose signature does not fit could come from anybody, so it is not taken.",
            fix="See the reason in the answer that Telnyx recorded.",
            named={
                "by its signature": ours(401, "bad_signature"),
                "by the clock": ours(401, "stale"),
                "a body that is none": ours(400, "not_json"),
            },
            quiet={
                "another program's 401": delivered(delivery(401)),
                "fixed since": delivered(delivery(401, at=1, headers=[["x-callpath", "1"]]), delivery(200, at=2)),
            },
            unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
        ),
    ),
)
