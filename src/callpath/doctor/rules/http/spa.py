"""HTTP007: a page for every path."""

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200)
    if carrier is None or any_variant_works(facts):
        return None
    upgrade_facts = facts[UpgradeFacts]
    made_up = upgrade_facts.shape("made-up-path-plain")
    html = carrier.has("content-type", "html") or "<html" in carrier.text.lower() or "<!doctype" in carrier.text.lower()
    if not html or not carrier.body:
        return None
    if made_up is not None and made_up.outcome == "answer" and made_up.status != 200:
        return None
    return Finding(
        "a web page comes back for the upgrade, and for a path that cannot exist",
        (show(carrier), *((show(made_up),) if made_up else ())),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP007",
    slug="spa-fallback-200",
    title="A web site answers instead of the application",
    owner="you",
    why="A static host or a single-page rule (try_files ... /index.html) answers 200 for every path: the URL names "
    "the front end, or the proxy's rule for the application's path is missing.",
    fix="Use the API's host, or route the stream's path to the application before the fallback rule.",
    named={
        "the same page everywhere": upgrade(
            answer(200, "<!doctype html>", Content_Type="text/html"),
            answer(200, "<!doctype html>", shape="made-up-path-plain", Content_Type="text/html"),
        )
    },
    quiet={"a JSON answer": upgrade(answer(200, "{}", Content_Type="application/json"))},
)
