"""HTTP004: plain requests pass, the upgrade breaks on the way to the application."""

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or any_variant_works(facts):
        return None
    cut = carrier.outcome in {"eof", "reset"}
    bad_gateway = carrier.outcome == "answer" and carrier.status == 502 and author(carrier).kind != "edge"
    if not (cut or bad_gateway):
        return None
    plain = facts[UpgradeFacts].shape("plain")
    if cut and plain is not None and plain.outcome == carrier.outcome and facts[UpgradeFacts].silent == "open":
        summary = (
            "whatever is asked, the connection is closed without an answer; it stays open as long as we ask nothing"
        )
        if facts[UpgradeFacts].shape("proxy-header") is None:  # which only --thorough sends
            return Finding(
                summary,
                (show(carrier), show(plain)),
                kind="open",
                confidence="low",
                candidates=("http2-only-endpoint", "proxy-protocol-expected", "ws-upgrade-closed"),
                question="Does what listens there wait for another protocol (HTTP/2, a PROXY header), or does it hang "
                "up on purpose (nginx `return 444`)? --thorough speaks those protocols.",
            )
        return Finding(
            summary,
            (show(carrier), show(plain)),
            confidence="medium",
            title="Requests are answered by closing the connection",
            fix="Look for a rule that hangs up on purpose (nginx `return 444`, HAProxy silent-drop or reject), or for "
            "a crash in the log for this second.",
        )
    if plain is None or plain.outcome != "answer" or plain.status in {502, 503, 504}:
        return None
    made_up = facts[UpgradeFacts].shape("made-up-path")
    everywhere = made_up is not None and made_up.outcome == carrier.outcome and made_up.status == carrier.status
    where = "every upgrade" if everywhere else "the upgrade on this path"
    return Finding(
        f"a plain GET is answered, {where} is cut off",
        (show(carrier), show(plain), *((show(made_up),) if made_up else ())),
        confidence="medium",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP004",
    slug="ws-upgrade-closed",
    title="The connection is dropped on the upgrade, without an answer",
    owner="you",
    why="What handles the upgrade ends the connection before a status is sent: it destroys sockets of paths or "
    "origins it does not know, or it throws. From outside there is only a closed connection (or a proxy's 502).",
    fix="Read the application's log for that second. In Node, answer unknown paths in server.on('upgrade') with a "
    "status before socket.destroy(), so that the reason can be seen.",
    named={"cut off": upgrade(answer(502, "<center>nginx</center>"), answer(200, "ok", shape="plain"))},
    quiet={"a dead upstream": upgrade(answer(502), answer(502, shape="plain"))},
)
