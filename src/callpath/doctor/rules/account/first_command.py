"""TELNYX014: Telnyx hangs up where the first command is late."""

from callpath.doctor.accounts import named, the_application
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, app, refused_key

SECONDS_MIN = 5


def check(facts: Facts) -> Finding | None:
    application = the_application(facts)
    seconds = application.first_command_timeout_secs
    if not application.first_command_timeout or seconds is None or seconds >= SECONDS_MIN:
        return None
    return Finding(
        f"the application {named(application)} hangs up a call whose first command has not come after {seconds} s",
        (f"first_command_timeout: true, first_command_timeout_secs: {seconds}",),
        kind="note",
    )


def within(seconds: int, *, on: bool = True) -> Facts:
    return account(app(first_command_timeout=on, first_command_timeout_secs=seconds))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX014",
    slug="first-command-timeout-short",
    title="Telnyx hangs up when the first command is late",
    owner="you",
    why="A webhook that has to be sent a second time comes after two seconds or more; a host that wakes up takes "
    "longer.",
    fix="Raise first_command_timeout_secs to 30, or switch first_command_timeout off.",
    named={"two seconds": within(2)},
    quiet={"thirty": within(30), "switched off": within(2, on=False)},
    unchecked={"the key was refused": refused_key()},
)
