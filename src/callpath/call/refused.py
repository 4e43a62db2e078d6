"""Why Telnyx refuses a dial or a transfer: one table of its codes, each with what it means and what to do. Pure.

    refusal = explain_refusal("D51")
    refusal.title    the number shown as caller ID is not yours and not verified
    refusal.fix      Set `from` to …

A code is a D-code (`D51`, at the end of a 403's text), one of its kin (`PE1`, `TV1`, `P05`, `RG1`), or Telnyx's error code
(`90041`, `20100`). Source: Telnyx, SIP response codes and API errors; D1, D11, D13, D17, D51 and D60 were seen at the
REST API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Whose = Literal["account", "settings", "number", "caller ID", "load", "carrier", "callee"]
"""What has to change before the call goes through. `callee`: the other phone's own set-up."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason of Telnyx's. `title` is a clause that needs no capital; `fix` is whole sentences."""

    code: str
    title: str
    fix: str
    whose: Whose


_D_CODE = re.compile(r"\b(D\d{1,3}|PE\d|TV1|TM1|P05|P15|RG1|B3)\b")

_PROFILE_ADD = (
    "Portal: Voice, Outbound Voice Profiles: create one, then choose it in the Call Control application under Outbound. "
    "callpath doctor account --to NUMBER shows whether it is set."
)
_PROFILE_ON = (
    "Portal: Voice, Outbound Voice Profiles: enable it. callpath doctor account --to NUMBER shows whether it is."
)
_COUNTRY = (
    "Add the country to the profile's allowed destinations (portal: Voice, Outbound Voice Profiles), or: "
    'curl -X PATCH https://api.telnyx.com/v2/outbound_voice_profiles/PROFILE_ID -H "Authorization: Bearer $TELNYX_API_KEY" '
    '-H \'Content-Type: application/json\' -d \'{"whitelisted_destinations": ["US", "CA", "DE"]}\' (the whole list: '
    "it replaces the one before). callpath doctor account --to NUMBER checks a number against it."
)
_CALLER_ID = (
    'Set from to a number of this account, as from_="+15555550100", or verify the one that you show (portal: Numbers, '
    "Verified Numbers). callpath doctor account --number NUMBER shows whether it is yours."
)
_SHOWN = (
    'Show another caller ID, as from_="+15555550100": a valid number of this account, in E.164 form, that can be called '
    "back, and not the number that is dialled."
)
_THROTTLE = (
    "Dial fewer calls at once, hang up those that are done, or raise the limit (portal: Voice, Outbound Voice Profiles, "
    "and the application's Outbound settings). callpath doctor account shows the limits."
)
_ACCOUNT_LIMIT = (
    "Dial fewer calls at once, or ask Telnyx support to raise the account's limit of outbound channels. "
    "callpath doctor account shows the limits."
)
_INBOUND_LIMIT = (
    "Raise the channel limit of the number or application (portal: Numbers, and the application's Inbound settings), or "
    "end calls that are done. callpath doctor account shows the limits."
)
_PACE = (
    "Dial more slowly: wait between two dials, as await asyncio.sleep(1), or have Telnyx raise the calls per second."
)
_MONEY = (
    "Portal: Billing: add funds and switch on auto-recharge; then see whether the account is active. "
    "callpath doctor account shows the balance."
)
_SPEND = (
    "Portal: Voice, Outbound Voice Profiles: raise the daily spend limit or the maximum rate, if the calls were wanted. If "
    "they were not, rotate the API key: somebody else dials. callpath doctor account shows the profile."
)
_NUMBER = (
    "Check the number: E.164 with a plus sign and the country code, no spaces, no extension (+15555550123). "
    "callpath doctor account --to NUMBER checks its country."
)
_SPECIAL = (
    "Such numbers cannot be dialled over this API. Dial an ordinary one, as +15555550123; callpath doctor account --to "
    "NUMBER checks it."
)
_ROUTE = "Try another number, or ask Telnyx support whether it has a route to this prefix."
_CONNECTION = (
    "Portal: Voice, Programmable Voice: enable the application or connection. callpath doctor account shows its state."
)
_CONNECTION_ID = (
    "Set TELNYX_CONNECTION_ID (connection_id) to the id of the Call Control application; callpath doctor account "
    "lists the applications of this key."
)
_CARRIER = "Try again in a minute, then with another number; if it stays, give Telnyx support the time and the number."
_LEVEL = (
    "Portal: Account, Verifications: raise the account's level, or verify the destination (Numbers, Verified Numbers). "
    "callpath doctor account --to NUMBER shows what is missing."
)
_KEY = "Use a key that may do this (portal: API Keys). callpath doctor account shows what the key in TELNYX_API_KEY may do."

_ROWS: tuple[tuple[str, str, Whose, str], ...] = (
    # --- load ---
    ("D1 D10", "the account's limit of outbound calls at once is reached", "load", _ACCOUNT_LIMIT),
    ("90041", "the account's limit of calls at once is reached", "load", _ACCOUNT_LIMIT),
    ("D2 D22 90042", "the outbound voice profile's limit of calls at once is reached", "load", _THROTTLE),
    ("D3 90043", "the connection's limit of outbound calls at once is reached", "load", _THROTTLE),
    ("D4 D5 D56", "the limit of inbound calls at once is reached", "load", _INBOUND_LIMIT),
    ("P05 P15 90103", "too many calls are dialled per second", "load", _PACE),
    # --- what is set up ---
    ("D7 D38", "the application has no outbound voice profile", "settings", _PROFILE_ADD),
    ("D15", "the outbound voice profile is disabled", "settings", _PROFILE_ON),
    ("D13", "the destination's country is not allowed in the outbound voice profile", "settings", _COUNTRY),
    ("D12", "the account's plan does not include this destination", "account", _LEVEL),
    ("D16 D18", "the connection is disabled", "settings", _CONNECTION),
    ("D25 D26 D29 D30 D31", "the connection, or the SIP address, does not pass Telnyx's checks", "settings", _CONNECTION),
    ("D44", "the connection_id is not one of this account", "settings", _CONNECTION_ID),
    ("D21 D48", "the connection has no address that calls can be sent to", "settings",
        "Portal: Voice, SIP Connections: give the connection an address (FQDN or IP), or register its SIP user."),
    ("D42", "the other side does not allow a SIP REFER", "callee",
        "Use await call.transfer(NUMBER): Telnyx then dials the number itself, and the other side needs to allow nothing."),
    ("D57", "HD voice is switched off for the connection", "settings",
        "Portal: the connection's settings: enable HD voice, or leave G722 out of preferred_codecs."),
    ("B3", "the connection requires encrypted media (SRTP)", "settings",
        "Dial the SIP address with ;secure=srtp, or switch the requirement off in the connection's settings."),
    ("10011", "encrypted media was asked for, which calls to phone numbers do not have", "settings",
        "Leave media_encryption out where to is a phone number."),
    # --- the account ---
    ("D17 20100", "the account is disabled or has no money", "account", _MONEY),
    ("D19 20012 20013", "the account is inactive or blocked", "account", _MONEY),
    ("D9", "the same international destination is dialled too often", "account", _SPEND),
    ("D24", "the call costs more per minute than the outbound voice profile allows", "account", _SPEND),
    ("D39", "the daily limit of spending on international calls is reached", "account", _SPEND),
    ("D60", "the account's level allows verified destination numbers only", "account", _LEVEL),
    ("D61 10038 10039 20014 20015 20016 20017", "the account's verification level is too low for this", "account", _LEVEL),
    ("10010 20003", "the account or key may not do this", "account", _KEY),
    # --- the number that is dialled ---
    ("D11 D14 D50", "the destination number is invalid", "number", _NUMBER),
    ("10016", "a number is not in E.164 form", "number", _NUMBER),
    ("D8 D37 D59", "special and emergency numbers cannot be dialled", "number", _SPECIAL),
    ("D40", "there is no route to this destination", "number", _ROUTE),
    ("D41", "the destination's prefix is forbidden", "number", _ROUTE),
    ("D58", "the destination is restricted", "number", _ROUTE),
    # --- the number that is shown ---
    ("D51", "the number shown as caller ID is not yours and not verified", "caller ID", _CALLER_ID),
    ("D34", "the caller ID is not from the European Economic Area, as this destination asks", "caller ID", _SHOWN),
    ("D35", "the caller ID is not a valid number", "caller ID", _SHOWN),
    ("D36", "the caller ID belongs to another account", "caller ID", _CALLER_ID),
    ("D46", "the caller ID is on a list of numbers that never call (do not originate)", "caller ID", _SHOWN),
    ("D49", "the caller ID is not assigned to anybody", "caller ID", _SHOWN),
    ("D53", "the caller ID is the number that is dialled", "caller ID", _SHOWN),
    ("D54", "the caller ID has a bad reputation", "caller ID", _SHOWN),
    ("D63", "the caller ID is being ported", "caller ID",
        "Show another number until the porting is done (portal: Numbers, Porting)."),
    ("D64", "the caller ID's regulatory requirements are open", "caller ID",
        "Portal: Numbers: hand in what the number's requirements ask for, or show another number."),
    # --- the other side ---
    ("D52", "the number screens its callers, and refused this one", "callee",
        "Portal: Numbers: set inbound call screening to flag_calls or disabled, if such callers are wanted."),
    ("D65", "the called number's regulatory requirements are open", "callee",
        "Portal: Numbers: hand in what the number's requirements ask for."),
    ("RG1", "the SIP user is not registered", "callee",
        "Start the SIP phone, and compare its user name and password with the connection's (portal: SIP Connections)."),
    # --- carriers ---
    ("PE1 PE2 PE3 PE4 PE5 PE6 TV1", "no carrier takes the call", "carrier", _CARRIER),
    ("TM1", "Telnyx has no rate for this destination", "carrier", _ROUTE),
)  # fmt: skip

REFUSALS: dict[str, Refusal] = {
    code: Refusal(code, title, fix, whose) for codes, title, whose, fix in _ROWS for code in codes.split()
}
"""By code."""


def d_code_in(text: str | None) -> str | None:
    """The D-code (or its kin) in what Telnyx said: the last one, since it ends the text."""
    found = _D_CODE.findall(text or "")
    return found[-1] if found else None


def explain_refusal(code: str | None, detail: str | None = None) -> Refusal | None:
    """What a refusal means and what to do: by the D-code in `detail`, or else by `code`. None: the table has neither."""
    named = d_code_in(detail)
    return REFUSALS.get(named or "") or REFUSALS.get((code or "").upper())
