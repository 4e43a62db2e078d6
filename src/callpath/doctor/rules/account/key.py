"""TELNYX001: Telnyx does not take the API key."""

import re

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import AccountFacts, CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import account, refused_key
from callpath.doctor.rules.sample_call import GOOD, RANG, a_call, answered, sent
from callpath.timeline import CommandAnswered


def telnyx_key(facts: Facts) -> Finding | None:
    asked = facts[AccountFacts]
    if asked.key_accepted is None:
        raise FactMissing(AccountFacts)
    if asked.key_accepted:
        return None
    said = tuple(f"{row.question}: {row.status} {row.code} {row.detail}".strip() for row in asked.refusals)
    return Finding("Telnyx refused TELNYX_API_KEY, so no command of this server can work either", said[-3:])


CODES = {"10009", "20001", "20002", "20003", "20008"}
"""Authentication failed, key missing, revoked, forbidden, invalid. Source: Telnyx, API errors."""

_UNAUTHENTICATED = re.compile(
    r"authenticat\w*[ _-]?(?:error|fail|exception)|no such api key|invalid api key|\(authentication\)|unauthori[sz]ed",
    re.IGNORECASE,
)
"""What SDKs call a 401, where a log has no status."""


def _unauthenticated(what: CommandAnswered) -> bool:
    return what.status == 0 and not what.error_code and _UNAUTHENTICATED.search(what.error_detail or "") is not None


def call_api_key(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in CODES or what.status == 401 or _unauthenticated(what))
    if found is None:
        return None
    entry, what = found
    return Finding(f"Telnyx refused {what.command}: {refused_by(what)}", show_entries(known, entry))


CAUSE = Cause(
    code="TELNYX001",
    slug="api-key-invalid",
    title="Telnyx does not take the API key",
    owner="you",
    why="The key is wrong, has been revoked, belongs to another account, or is one of the old API v1. Every command "
    "fails with it: calls ring out.",
    fix="Make a key in the Telnyx portal (API Keys), set it as TELNYX_API_KEY (it begins with KEY), restart the "
    "server.",
    signs=(
        Sign(
            "account",
            telnyx_key,
            named={"401 on the first question": refused_key()},
            quiet={"questions are answered": account()},
            unchecked={"no answer came": Facts(AccountFacts())},
        ),
        Sign(
            "call",
            call_api_key,
            code="CALL007",
            title="Telnyx does not accept the API key",
            why="Every command is refused with it: calls come in, nobody answers, and the caller hears it ring.",
            fix="Make a new API v2 key (Telnyx portal, API Keys; it begins with KEY) in the account that owns the "
            "number, and set TELNYX_API_KEY, without blanks, quotes or line ends.",
            named={"401 to the answer": a_call(RANG, sent("answer"), answered("answer", 401, "10009"))},
            quiet={
                "another refusal": a_call(RANG, sent("answer"), answered("answer", 422, "90018")),
                "a call that worked": a_call(GOOD),
            },
        ),
    ),
)
