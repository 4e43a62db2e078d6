"""HTTP016: the path takes other methods only."""

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 403, 405)
    if carrier is None or any_variant_works(facts):
        return None
    if carrier.status == 403:
        post, plain = facts[UpgradeFacts].shape("post"), facts[UpgradeFacts].shape("plain")
        if post is None or post.outcome != "answer" or post.status in {403, 405, 411} or post.status >= 500:
            return None
        if plain is None or plain.status != 403:
            return None
        return Finding("GET is forbidden on this path, POST is not", (show(carrier), show(post)), confidence="medium")
    allowed = carrier.header("allow") or ""
    made_up = facts[UpgradeFacts].shape("made-up-path")
    if made_up is not None and made_up.status == 405:
        return Finding(
            "the server allows no GET on any path" + (f" (Allow: {allowed})" if allowed else ""),
            (show(carrier), show(made_up)),
            confidence="medium",
        )
    return Finding(
        f"the path exists, but not for GET{f' (Allow: {allowed})' if allowed else ''}: it belongs to another handler",
        (show(carrier),),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP016",
    slug="method-not-allowed-405",
    title="The path does not take GET",
    owner="you",
    why="An upgrade is a GET. This path is a webhook's (POST), or a filter in front allows other methods only.",
    fix="Use the stream's own path, not the webhook's; allow GET on it.",
    named={"the webhook's path": upgrade(answer(405, Allow="POST"))},
    quiet={"404": upgrade(answer(404))},
)
