"""URL007: an id stands raw in the path, where only its percent-encoded form is understood (or the reverse)."""

from callpath.doctor.answers import refused, show, works
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade, url


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None:
        return None
    better = works(facts, "path:encoded", "path:encoded-whole", "path:decoded")
    if better is None:
        return None
    given = facts[UrlFacts]
    return Finding(
        f"{given.path} is refused, {better.target} is upgraded: only percent-encoding differs",
        (show(carrier), show(better)),
        fix=f"wss://{given.authority}{better.target}",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="URL007",
    slug="url-unencoded-id",
    title="An id in the path is not encoded as the server expects",
    owner="you",
    why="Ids such as v3:abc+/= contain characters that split or change a path. Raw, they lead to another route.",
    fix="Percent-encode the id (encodeURIComponent, urllib.parse.quote(id, safe='')), or use the call_session_id, a "
    "plain UUID.",
    named={
        "a raw id": upgrade(answer(404), answer(101, shape="path:encoded"), given=url(path="/calls/v3:a+b/c=/audio"))
    },
    quiet={"another 404": upgrade(answer(404))},
)
