"""CALL010: the Telnyx account may not do this: blocked, without funds, not verified, or over a limit."""

import re

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import RANG, a_call, answered, sent
from callpath.timeline import CommandAnswered

WORDS = {
    "20012": "the account is inactive",
    "20013": "the account is blocked",
    "20100": "the account has no funds",
    "10010": "the account or key may not do this",
    "10038": "the account's verification level is too low for this",
    "20014": "the account is not verified",
    "20015": "the account is not verified",
    "20016": "the account is not verified",
    "20017": "the account is not verified",
    "90041": "the account's limit of calls at once is reached",
    "90042": "the voice profile's limit of calls at once is reached",
    "90043": "the connection's limit of calls at once is reached",
}
"""Source: Telnyx, API errors; in our words."""

_CALLER_ID = "Set `from` to a number of the account that Telnyx has verified (portal: Numbers, or Verified Numbers)."
_PROFILE = "Portal: Voice, Outbound Voice Profiles: assign one to the application, and allow the destination's "
"country."
_LIMIT = "Dial fewer calls at once, or raise the channel limit of the profile, the connection or the account."
_MONEY = "Portal: Billing: add funds, and look whether the account is active."
_NUMBER = "Check the number that is dialled: E.164, assigned, and no special or emergency number."
_TELNYX = (
    "Telnyx has no route or no channel for this destination now. Try again later, then ask Telnyx with this report."
)

D_CODES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("D1", "D10"), ("the account's limit of outbound calls at once is reached", _LIMIT)),
    **dict.fromkeys(("D2", "D22"), ("the voice profile's limit of calls at once is reached", _LIMIT)),
    "D3": ("the connection's limit of outbound calls at once is reached", _LIMIT),
    **dict.fromkeys(("D7", "D38"), ("the application has no outbound voice profile", _PROFILE)),
    **dict.fromkeys(("D9", "D24", "D39"), ("a limit on international calls is reached", _PROFILE)),
    **dict.fromkeys(("D11", "D14", "D50"), ("the destination number is invalid", _NUMBER)),
    "D12": ("the account's plan does not include this destination", _PROFILE),
    "D13": ("the destination's country is not allowed in the outbound voice profile", _PROFILE),
    "D15": ("the outbound voice profile is disabled", _PROFILE),
    "D16": ("the connection is disabled", "Portal: enable the application or connection."),
    "D17": ("the account is disabled, or has no money", _MONEY),
    **dict.fromkeys(
        ("D34", "D35", "D36", "D46", "D49", "D53", "D54", "D63", "D64"), ("the caller ID is not accepted", _CALLER_ID)
    ),
    "D51": ("the caller ID is not a number of this account and not verified", _CALLER_ID),
    **dict.fromkeys(("D8", "D37", "D59"), ("special and emergency numbers cannot be dialled", _NUMBER)),
    **dict.fromkeys(("D40", "D41", "D58"), ("there is no route to this destination, or it is restricted", _NUMBER)),
    "D44": ("the connection_id is invalid", "Use the id of the Call Control application as connection_id."),
    "D60": (
        "the account's level allows verified destination numbers only",
        "Portal: Account: verify the destination number, or raise the account's level.",
    ),
    **dict.fromkeys(("PE1", "PE2", "PE3", "PE4", "PE5", "PE6", "TV1", "TM1"), ("no carrier takes the call", _TELNYX)),
    **dict.fromkeys(("P05", "P15"), ("too many calls per second", _LIMIT)),
}
"""Why a dial or a transfer is refused with 403: code → what it means, what to do. The code ends the refusal's text.
Source: Telnyx, SIP response codes; D1, D11, D13, D17, D51 and D60 were seen at the REST API."""

_D_CODE = re.compile(r"\b(D\d{1,2}|PE\d|TV1|TM1|P05|P15)\b")


def _told_by_its_d_code(what: CommandAnswered) -> bool:
    """Clients print the text of a refusal and leave its error code out."""
    named = _D_CODE.findall(what.error_detail or "")
    return what.status == 403 and not what.error_code and bool(named) and named[-1] in D_CODES


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in WORDS or _told_by_its_d_code(what))
    if found is None:
        return None
    entry, what = found
    named = _D_CODE.findall(what.error_detail or "")
    if named and (meaning := D_CODES.get(named[-1])) is not None:
        return Finding(
            f"{meaning[0]} ({named[-1]}): Telnyx refused {what.command} ({refused_by(what)})",
            show_entries(known, entry),
            title=f"Telnyx refuses the call: {meaning[0]}",
            fix=meaning[1],
        )
    return Finding(
        f"{WORDS[what.error_code or '']}: Telnyx refused {what.command} ({refused_by(what)})",
        show_entries(known, entry),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL010",
    slug="account-not-permitted",
    title="The Telnyx account may not do this now",
    owner="you",
    why="The command itself is right, the account is not in a state to carry it out.",
    fix="Telnyx portal: billing (balance), account level (verification), outbound voice profile (limits, "
    "destinations).",
    named={
        "no funds": a_call(RANG, sent("answer"), answered("answer", 403, "20100")),
        "a country that is not allowed": a_call(
            sent("dial"), answered("dial", 403, "10010", "Dialed number is not whitelisted D13")
        ),
        "the same, printed without its error code": a_call(
            sent("dial"), answered("dial", 403, detail="Dialed number is not whitelisted D13")
        ),
    },
    quiet={"another refusal": a_call(RANG, sent("answer"), answered("answer", 422, "90018"))},
)
