"""CALL092: the program itself hung up, right after the call had begun."""

import re

from callpath.doctor.calls import ended_unix_ms, every, first, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts, ToldFacts
from callpath.doctor.reasons import BEFORE_MS, last_words, show_line
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, HEARD, hung_up, sent
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import CommandSent, SocketReceived, StreamStarted

SHORT_MS = 5_000
"""A conversation takes longer. A program that hangs up sooner did not talk to anybody."""

FOR_SILENCE_MS = 15_000
_FOR_SILENCE = re.compile(
    r"silen|no (?:response|input|speech|audio|reply|answer)|idle|inactiv|time-?d? ?out|did ?n.?t (?:speak|say|respond)",
    re.IGNORECASE,
)


def log_hung_up(facts: Facts) -> Finding | None:
    known, told = facts[CallFacts], facts[ToldFacts]
    begun = first(known, StreamStarted) or first(known, SocketReceived)
    ended = ended_unix_ms(known)
    commands = [e for e in every(known, CommandSent) if isinstance(e.what, CommandSent) and e.what.command == "hangup"]
    if begun is None or ended is None or not commands or told.machine.startswith(("machine", "fax")):
        return None
    command = commands[0]
    if command.at_unix_ms > ended:
        return None  # the other side was faster
    age = command.at_unix_ms - begun.at_unix_ms
    said = [one for one in told.hangups if one.at_unix_ms <= command.at_unix_ms + 500]
    reason = next((one for one in said if _FOR_SILENCE.search(one.text)), said[0] if said else None)
    silence = reason is not None and _FOR_SILENCE.search(reason.text) is not None
    if told.conversed or not (age <= SHORT_MS or (silence and age <= FOR_SILENCE_MS)):
        return None
    words = f": {reason.text}" if reason is not None else ""
    return Finding(
        f"the program itself hung up {age / 1000:.1f} s after the stream began{words}",
        (
            *((show_line(reason),) if reason is not None else ()),
            *last_words(facts, command.at_unix_ms - BEFORE_MS, command.at_unix_ms),
            *show_entries(known, begun, command, webhook(known, "call.hangup")),
        ),
        kind="limited",
        question="Is it meant to hang up then? If not, look at what decided it: a tool that the model may call, a "
        "timer for silence that runs before anybody can speak, an error that ends the session.",
    )


CAUSE = Cause.of(
    "call",
    log_hung_up,
    code="CALL092",
    slug="hung-up-by-bot",
    title="The program hung up by itself, right after the call began",
    owner="you",
    why="Telnyx and the stream worked. The program sent hangup: a model called its end_call tool, a silence timer ran "
    "out before the caller could speak, or a session ended and took the call with it.",
    fix="Log why hangup is sent (grep -rn hangup shows where). Start silence timers after the greeting was played (a "
    "mark says when), and let a model end the call only after the caller has spoken.",
    named={
        "the model called its tool": told_call(
            HEARD,
            (2_400, sent("hangup")),
            (2_600, hung_up(source="callee")),
            hangups=(line(2_300, "model called tool end_call"),),
        )
    },
    quiet={
        "after a conversation": told_call(
            BOTH_WAYS, (40_000, sent("hangup")), (40_200, hung_up(source="callee")), conversed=True
        ),
        "a voicemail answered": told_call(HEARD, (2_400, sent("hangup")), (2_600, hung_up()), machine="machine"),
    },
)
