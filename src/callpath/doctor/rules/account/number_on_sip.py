"""TELNYX007: the number leads to a SIP or TeXML connection."""

from callpath.doctor.accounts import known_account, masked
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import OTHER, account, number, refused_key


def check(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if not asked.application_missing or not asked.connection_kind:
        if asked.application is None:
            raise FactMissing(AccountFacts)
        return None
    kind = asked.connection_kind
    if "call_control" in kind:
        raise FactMissing(AccountFacts)
    what = (
        "a TeXML application" if "texml" in kind else "a SIP connection" if "connection" in kind else "something else"
    )
    who = f"the number {masked(asked.number_asked)}" if asked.number_asked else "what was asked for"
    return Finding(
        f"{who} leads to {what}, not to a Call Control application",
        (f"connection id:{asked.connection_id} is of the kind {kind}; no Call Control application has that id",),
    )


SIP = number(connection_id=OTHER)

CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX007",
    slug="number-on-sip-connection",
    title="The number is assigned to a SIP or TeXML connection",
    owner="you",
    why="Only a Call Control application sends call.initiated and takes commands. A SIP connection rings a PBX, a "
    "TeXML application asks for a document.",
    fix="Assign the number to your Call Control application: in the portal under Numbers, or let `callpath doctor "
    "account --number … --application … --fix` do it.",
    named={
        "404 as an application, an ip_connection otherwise": account(
            None, row=SIP, application_missing=True, connection_kind="ip_connection"
        ),
        "so, while an application for it is there": account(
            row=SIP, application_missing=True, connection_kind="texml_application"
        ),
    },
    quiet={"an application": account()},
    unchecked={
        "an application after all, which may not be asked as one": account(
            None, row=SIP, application_missing=True, connection_kind="call_control_application"
        ),
        "the key was refused": refused_key(),
    },
)
