"""CALL010: the Telnyx account may not do this: blocked, without funds, not verified, or over a limit."""

from callpath.call.refused import REFUSALS, d_code_in, explain_refusal
from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import RANG, a_call, answered, sent
from callpath.timeline import CommandAnswered

OF_THE_ACCOUNT = frozenset(code for code in REFUSALS if code.isdigit()) - {"10011", "10016", "90103"}
"""Error codes that speak of the account itself. The others speak of the command too, and have signs of their own."""


def _told_by_its_d_code(what: CommandAnswered) -> bool:
    """Clients print the text of a refusal and leave its error code out."""
    return what.status == 403 and not what.error_code and d_code_in(what.error_detail) in REFUSALS


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in OF_THE_ACCOUNT or _told_by_its_d_code(what))
    if found is None:
        return None
    entry, what = found
    refusal = explain_refusal(what.error_code, what.error_detail)
    assert refusal is not None
    named = f" ({refusal.code})" if refusal.code == d_code_in(what.error_detail) else ""
    return Finding(
        f"{refusal.title}{named}: Telnyx refused {what.command} ({refused_by(what)})",
        show_entries(known, entry),
        title=f"Telnyx refuses the call: {refusal.title}" if named else "",
        fix=refusal.fix if named else "",
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
