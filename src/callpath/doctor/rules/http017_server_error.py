"""HTTP017: 500 for the upgrade."""

from __future__ import annotations

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 500)
    if carrier is None or any_variant_works(facts):
        return None
    who = author(carrier)
    if who.kind == "proxy":
        return None
    made_up = facts[UpgradeFacts].shape("made-up-path")
    everywhere = made_up is not None and made_up.status == 500
    return Finding(
        "the application fails with 500" + (" on every path" if everywhere else " on this path"),
        (show(carrier), *((show(made_up),) if made_up else ())),
    )


RULE = Rule(
    code="HTTP017",
    slug="app-crash-on-connect",
    title="The application crashes on the upgrade (500)",
    layer="routing",
    owner="you",
    why="An exception before the upgrade was answered: a missing setting, a failing dependency, a bug in middleware.",
    fix="Read the stack trace in the application's log for this second.",
    masked_by=("URL003", "HTTP001", "ROUTE004"),
    check=check,
    examples=(
        Example("a crash", upgrade(answer(500, "Internal Server Error", Server="uvicorn")), fires=True),
        Example("a refusal", upgrade(answer(403)), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
