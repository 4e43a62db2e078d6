"""TELNYX006: the number leads to no application."""

from callpath.doctor.accounts import known_account, masked, named, the_numbers
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, app, number, refused_key


def check(facts: Facts) -> Finding | None:
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


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX006",
    slug="number-not-assigned",
    title="The number is not assigned to an application",
    owner="you",
    why="Telnyx does not know whom to tell of a call: no webhook is sent, and the caller hears a message.",
    fix="Assign the number to your Call Control application: in the portal under Numbers, or let `callpath doctor "
    "account --number … --application … --fix` do it.",
    named={
        "no connection": account(row=number(connection_id=None)),
        "an application without a number": account(
            app(), number_found=None, number=None, numbers=(), numbers_listed=True
        ),
    },
    quiet={"assigned": account()},
    unchecked={"the key was refused": refused_key()},
)
