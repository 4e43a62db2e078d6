"""URL006: one slash too many or too few."""

from urllib.parse import urlsplit

from callpath.doctor.answers import refused, show, slash_variant_that_works
from callpath.doctor.calls import compared
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import PATH, answer, upgrade, url
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def url_slashes(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None:
        return None
    given = facts[UrlFacts]
    better = slash_variant_that_works(facts)
    if better is not None:
        return Finding(
            f"{given.path} is refused, {better.target} is upgraded: only slashes differ",
            (show(carrier), show(better)),
            fix=f"wss://{given.authority}{better.target}",
        )
    location = carrier.header("location")
    if carrier.status in {301, 302, 307, 308} and location:
        parts = urlsplit(location)
        moved = parts.path or "/"
        same_host = not parts.hostname or parts.hostname == given.host
        if same_host and moved != given.path and _bare(moved) == _bare(given.path):
            return Finding(
                f"{given.path} is redirected to {moved}: only slashes differ, and no WebSocket client follows",
                (show(carrier),),
                fix=f"wss://{given.authority}{moved}",
            )
    if "//" in given.path and carrier.status in {400, 403, 404}:
        return Finding(
            f"the path {given.path} has a doubled slash, and the server knows no such path",
            (show(carrier),),
            confidence="medium",
        )
    return None


def _bare(path: str) -> str:
    return "/".join(part for part in path.split("/") if part)


def call_slashes(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or not urls.only_slashes:
        return None
    return Finding(f"the stream was asked for under {urls.sent.path}: a slash too many, and servers take paths literally",
                   urls.lines)  # fmt: skip


CAUSE = Cause(
    code="URL006",
    slug="url-double-slash-or-trailing",
    title="The path has a slash too many or too few",
    owner="you",
    why="A base URL that ends in / was joined to a path that begins with /, or a trailing slash came or went. Routers "
    "take the path literally: it is another path, answered with 404 or a redirect that the carrier does not follow.",
    fix="Strip the slash where the URL is joined: base.rstrip('/') + path",
    signs=(
        Sign(
            "url",
            url_slashes,
            named={
                "two slashes": upgrade(
                    answer(404), answer(101, shape="path:single-slashes"), given=url(path="/" + PATH)
                )
            },
            quiet={"another 404": upgrade(answer(404))},
        ),
        Sign(
            "call",
            call_slashes,
            code="CALL027",
            title="The path of the stream URL has a slash too many",
            why="A base URL that ends in / was joined to a path that begins with /. Routers take that for another "
            "path: 404.",
            named={
                "two slashes": a_call(
                    ANSWERED, asking(f"wss://{HOST}//api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up())
                )
            },
            quiet={"the served path": a_call(ACCEPTED, (20_000, hung_up()))},
        ),
    ),
)
