"""TELNYX015: the application may hold no call at all."""

from callpath.doctor.accounts import known_account, named, the_application
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding, Kind
from callpath.doctor.rules.sample_account import account, app, refused_key


def check(facts: Facts) -> Finding | None:
    application = the_application(facts)
    inbound = application.inbound.channel_limit if application.inbound is not None else None
    outbound = application.outbound.channel_limit if application.outbound is not None else None
    if inbound == 0:
        return Finding(
            f"the application {named(application)} may hold no incoming call: its channel limit is 0",
            ("inbound.channel_limit: 0",),
        )
    if outbound == 0:
        kind: Kind = "fault" if known_account(facts).destination else "note"
        return Finding(
            f"the application {named(application)} may hold no outgoing call: its channel limit is 0",
            ("outbound.channel_limit: 0",),
            kind=kind,
        )
    return None


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX015",
    slug="channel-limit-zero",
    title="Channel limit is 0",
    owner="you",
    why="Telnyx turns away every call above the limit, hence every one.",
    fix="Raise the channel limit in the application's settings (Inbound, Outbound), or leave it empty.",
    named={
        "none may come in": account(app(inbound={"channel_limit": 0})),
        "none may go out": account(app(outbound={"channel_limit": 0})),
    },
    quiet={"ten": account(), "no limit": account(app(inbound={}, outbound={}))},
    unchecked={"the key was refused": refused_key()},
)
