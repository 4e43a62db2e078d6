"""TELNYX006: the number does not lead to this server's application."""

from callpath.doctor.accounts import known_account, masked, named, the_application, the_numbers
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import OTHER, OURS, account, app, number
from callpath.doctor.urls import same_url


def unassigned(facts: Facts) -> Finding | None:
    rows = the_numbers(facts)
    asked = known_account(facts)
    if not rows and asked.application is not None and asked.number_found is None:
        return Finding(
            f"no number leads to the application {named(asked.application)}: it can dial out, but nobody can call in",
            tuple(
                f"{masked(row.get('phone_number'))} leads to {row.get('connection_name') or row.get('connection_id')}"
                for row in asked.other_numbers
            ),
            kind="note",
            fix="Assign a number to it in the Telnyx portal (Numbers, Connection or application), or give the number "
            "that should lead here: callpath doctor account --number +1…",
        )
    loose = [row for row in rows if not row.get("connection_id")]
    if not loose:
        return None
    return Finding(
        f"the number {masked(loose[0].get('phone_number'))} is assigned to no connection and no application",
        tuple(f"{masked(row.get('phone_number'))}: connection_id is empty" for row in loose),
    )


def on_sip(facts: Facts) -> Finding | None:
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


def elsewhere(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if not asked.number_found or not asked.connection_id:
        raise FactMissing(AccountFacts)
    ours = the_application(facts)
    if asked.application_missing or asked.connection_id == ours.id:
        return None
    theirs = next((row for row in asked.applications if row.id == asked.connection_id), None)
    if theirs is not None and same_url(theirs.webhook_event_url or "", ours.webhook_event_url or ""):
        return None
    where = named(theirs) if theirs is not None else f"id:{asked.connection_id}"
    reason = "the one that was named" if asked.chosen_by == "asked" else "the one that leads to this server"
    return Finding(
        f"the number {masked(asked.number_asked)} leads to the application {where}; {reason} is {named(ours)}",
        (
            *([f"{where} sends its webhooks to {theirs.webhook_event_url or 'nobody'}"] if theirs is not None else []),
            f"{named(ours)} sends them to {ours.webhook_event_url or 'nobody'}",
        ),
        fix=f"Assign the number to {named(ours)}: in the portal under Numbers, or `callpath doctor account --number … "
        f"--application {ours.id} --fix`.",
    )


SIP = number(connection_id=OTHER)
THEIRS = app(id=OTHER, application_name="billing", webhook_event_url="https://billing.example.net/hook")

CAUSE = Cause(
    code="TELNYX006",
    slug="number-not-assigned",
    merged=("number-on-sip-connection", "number-on-other-application"),
    title="The number is not assigned to an application",
    owner="you",
    why="Telnyx does not know whom to tell of a call: no webhook is sent, and the caller hears a message.",
    fix="Assign the number to your Call Control application: in the portal under Numbers, or let `callpath doctor "
    "account --number … --application … --fix` do it.",
    signs=(
        Sign(
            "account",
            unassigned,
            named={
                "no connection": account(row=number(connection_id=None)),
                "an application without a number": account(
                    app(), number_found=None, number=None, numbers=(), numbers_listed=True
                ),
            },
            quiet={"assigned": account()},
        ),
        Sign(
            "account",
            on_sip,
            code="TELNYX007",
            title="The number is assigned to a SIP or TeXML connection",
            why="Only a Call Control application sends call.initiated and takes commands. A SIP connection rings a "
            "PBX, a TeXML application asks for a document.",
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
                )
            },
        ),
        Sign(
            "account",
            elsewhere,
            code="TELNYX008",
            title="The number is assigned to another application",
            why="The webhooks of its calls go to another program. This server never hears of them.",
            fix="Assign the number to the application whose webhook URL is this server's: callpath doctor account "
            "--number NUMBER --application ID --fix",
            named={
                "on one application, while another leads to us": account(
                    row=number(connection_id=OTHER), applications=(app(), THEIRS)
                )
            },
            quiet={
                "on ours": account(),
                "the only application there is": account(THEIRS, row=number(connection_id=OTHER)),
                "on another one, whose webhooks come here, too": account(
                    row=number(connection_id=OTHER), applications=(app(), app(id=OTHER))
                ),
            },
            unchecked={"no number was asked for": account(number_found=None, connection_id=OURS)},
        ),
    ),
)
