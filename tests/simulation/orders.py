"""Transfers and consults whose webhooks come in any order, late and twice: `python -m tests.simulation --orders 10000`.

Only the pure core: two timelines, what `call/` decides from them, and a Telnyx that carries out what was decided. Each
script is one truth (who answers, who hangs up when); an order is a seed, from which the delay of each webhook and its
copies are drawn. Whatever the order, the script must end in one state, with no leg up, and no phone called twice.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from callpath.call.client_state import ClientState, encode_client_state
from callpath.call.consult import consult_due, consult_outcome, ends_for, first_call, is_joined, news_of, second_session
from callpath.call.ending import needs_handler, next_ending
from callpath.call.leg import LegState
from callpath.call.outcomes import transfer_outcome
from callpath.call.session import CallSession
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    ConsultDecided,
    ConsultNews,
    ConsultStarted,
    Entry,
    HandlerEnded,
    HandlerStarted,
    WebhookReceived,
    What,
)
from callpath.wire.command import Command, Dial, Transfer
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, SessionId

FIRST, SECOND = SessionId("first"), SessionId("second")
A, B = CallControlId("v3:a"), CallControlId("v3:b")
NUMBER = "+15555550177"

LATE_MS_MAX = 2_000
"""How much later than another a webhook may come here: enough to turn all of a call's around."""

TWICE = 0.3
"""Share of the webhooks that are delivered twice."""

TALK_MS = 20_000
"""How long two who were joined talk."""

OVER_MS = 120_000
"""When a script is over, whatever happens."""


@dataclass(frozen=True)
class Script:
    """One truth. `answers`: after how many ms the second phone is answered, or `fails` with a hangup_cause. `decides`: what
    its handler does. `leaves`: who hangs up, and how many ms after which moment (`start`, `answer` or `join`)."""

    consults: bool
    answers: int | None = 2_500
    fails: str = ""
    decides: str = "accepts"
    machine: bool = False
    leaves: tuple[str, str, int] | None = None
    ends: str = ""
    """How it must end."""


SCRIPTS: dict[str, Script] = {
    "transfer: answered, then the other leaves": Script(False, leaves=("b", "join", TALK_MS), ends="answered, over"),
    "transfer: answered, then the caller leaves": Script(False, leaves=("a", "join", TALK_MS), ends="answered, over"),
    "transfer: busy": Script(False, None, "user_busy", ends="busy, served"),
    "transfer: not answered": Script(False, None, "timeout", ends="no_answer, served"),
    "transfer: the caller leaves while it rings": Script(False, leaves=("a", "start", 1_500), ends="none, over"),
    "consult: joined, then the other leaves": Script(True, leaves=("b", "join", TALK_MS), ends="joined, over"),
    "consult: joined, then the caller leaves": Script(True, leaves=("a", "join", TALK_MS), ends="joined, over"),
    "consult: busy": Script(True, None, "user_busy", ends="busy, served"),
    "consult: not answered": Script(True, None, "timeout", ends="no_answer, served"),
    "consult: declined": Script(True, decides="declines", ends="declined, served"),
    "consult: returns": Script(True, decides="returns", ends="declined, served"),
    "consult: never decides": Script(True, decides="waits", ends="declined, served"),
    "consult: the other hangs up in the briefing": Script(
        True, decides="waits", leaves=("b", "answer", 5_000), ends="declined, served"
    ),
    "consult: a machine": Script(True, decides="waits", machine=True, ends="voicemail, served"),
    "consult: the caller leaves while it rings": Script(True, leaves=("a", "start", 1_500), ends="hung_up, over"),
    "consult: the caller leaves in the briefing": Script(
        True, decides="waits", leaves=("a", "answer", 5_000), ends="hung_up, over"
    ),
}


@dataclass
class Side:
    """One call: its timeline as a server knows it, and its handler."""

    session: CallSession
    entries: list[Entry] = field(default_factory=list)
    running: bool = False
    finished: bool = False
    again_ms: int | None = None


class Order:
    """One order of one script."""

    def __init__(self, script: Script, seed: int, *, late_ms: int = LATE_MS_MAX) -> None:
        self._script = script
        self._rng = random.Random(seed)
        self._late_ms = late_ms
        self._now = 1_000_000
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self._events = count(1)
        self._first, self._second = Side(CallSession(FIRST)), Side(CallSession(SECOND))
        self._up = {"a": True, "b": False}
        self._made = self._joined = self._parks = self._answered = False
        self._told: set[tuple[str, str]] = set()
        self._state_of_b: str | None = None
        self.made = 0
        """How many phones were called."""
        self.outcome = "none"
        self._carried_out: set[str] = set()

    def play(self) -> str:
        """Play it to its end. How it ended."""
        script = self._script
        self._tell("a", "call.initiated", direction="incoming", at_once=True)
        self._tell("a", "call.answered", at_once=True)
        self._note(self._first, HandlerStarted(name="reception"))
        self._first.running = True
        if script.leaves is not None and script.leaves[1] == "start":
            self._later(script.leaves[2], self._leave)
        if script.consults:
            self._note(
                self._first,
                ConsultStarted(
                    command_id="dial", to=NUMBER, connection_id="1", from_="+15555550199", ring_s=20, decide_s=20
                ),
            )
        else:
            state = encode_client_state(ClientState(leg="transfer"))
            self._send(
                self._first, Transfer(to=NUMBER, timeout_secs=20, target_leg_client_state=state, command_id="transfer")
            )
        self._turn()
        until = self._now + OVER_MS
        while self._queue and self._now < until:
            at, _, do = heapq.heappop(self._queue)
            self._now = max(self._now, at)
            do()
            self._turn()
        if script.consults:  # its handler is cancelled before it is told of a caller who is gone
            ended = consult_outcome(self._first.session, "dial")
            self.outcome = ended.status if ended is not None else "none"
        return f"{self.outcome}, {self._state()}"

    def problems(self) -> list[str]:
        """What must not be, however it ended."""
        found = []
        if self.made > 1:
            found.append(f"{self.made} phones were called")
        if self._up["b"] and not (self._joined and self._up["a"]):
            found.append("the other phone is left up")
        if self._up["a"] and not self._joined and not self._first.running:
            found.append("the caller is left alone")
        return found

    def _state(self) -> str:
        if not self._up["a"]:
            return "over" if not self._up["b"] else "the other is left up"
        return "served" if self._first.running and not self._up["b"] else "left up"

    # --- time --------------------------------------------------------------------------------------------------------

    def _later(self, ms: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self._now + ms, next(self._numbers), do))

    def _tell(self, leg: str, event_type: str, *, at_once: bool = False, **payload: Any) -> None:
        """A webhook: late, and perhaps twice."""
        side = self._second if leg == "b" and self._script.consults else self._first
        number = next(self._events)
        state = None
        if leg == "b":
            state = self._state_of_b
        body = {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": f"event-{number}",
                "occurred_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}.000000Z",
                "payload": {
                    "call_control_id": A if leg == "a" else B,
                    "call_leg_id": f"leg-{leg}",
                    "call_session_id": side.session.session,
                    "client_state": state,
                    **payload,
                },
            }
        }
        what = WebhookReceived(event_type=event_type, event_id=f"event-{number}", body=body)

        def deliver() -> None:
            self._note(side, what)

        if at_once:
            deliver()
            return
        for _ in range(2 if self._rng.random() < TWICE else 1):
            self._later(self._rng.randrange(self._late_ms), deliver)

    def _note(self, side: Side, what: What) -> None:
        entry = Entry(session=side.session.session, at_unix_ms=self._now, what=what)
        side.entries.append(entry)
        side.session.apply(entry)

    # --- the server --------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Both calls, until nothing more follows."""
        for _ in range(50):
            before = len(self._first.entries) + len(self._second.entries)
            self._act(self._first)
            self._act(self._second)
            self._talk()
            if len(self._first.entries) + len(self._second.entries) == before:
                return
        raise AssertionError("it never comes to rest")

    def _act(self, side: Side) -> None:
        session = side.session
        if session.leg is None:
            return
        consult = consult_due(session, self._now)
        for what in consult.entries:
            self._note(side, what)
        ending = next_ending(session, handler_running=side.running, now_unix_ms=self._now)
        for command in (*consult.commands, *ending.commands):
            self._send(side, command)
        if session.ended:
            side.running = False  # a handler is cancelled before it is told anything else
        self._handle(side)
        for again in (consult.again_unix_ms, ending.again_unix_ms):
            if again is not None and again != side.again_ms:
                side.again_ms = again
                self._later(max(1, again - self._now), lambda: None)

    def _handle(self, side: Side) -> None:
        """What the two handlers do."""
        if side is self._first:
            if side.running and self.outcome == "none":
                self._await_outcome()
            return
        session = side.session
        is_up = session.leg is not None and session.leg.state is LegState.ANSWERED and not session.ended
        if is_up and not side.running and not side.finished and needs_handler(session):
            self._note(side, HandlerStarted(name="brief"))
            side.running = True
        if not side.running or side.finished:
            return
        decides = self._script.decides
        if decides in ("accepts", "declines") and session.consult_decided is None:
            self._note(side, ConsultDecided(accepted=decides == "accepts"))
        if decides in ("declines", "returns") or is_joined(session):
            side.finished, side.running = True, False
            self._note(side, HandlerEnded())

    def _await_outcome(self) -> None:
        side, script = self._first, self._script
        if script.consults:
            ended = consult_outcome(side.session, "dial")
            if ended is None:
                return
            self.outcome = ended.status
        else:
            told, again = transfer_outcome(side.session, "transfer", detects=False, now_unix_ms=self._now)
            if again is not None:
                self._later(max(1, again - self._now), lambda: None)
            if told is None:
                return
            self.outcome = told.status
        if self.outcome in ("answered", "joined"):
            side.finished, side.running = True, False
            self._note(side, HandlerEnded())

    def _talk(self) -> None:
        """What each call tells the other, as server/consulting.py does: late, and in any order."""
        tells: list[tuple[Side, What, tuple[str, str]]] = []
        if first_call(self._second.session) is not None:
            tells += [(self._first, what, ("first", what.news)) for what in news_of(self._second.session)]
        if second_session(self._first.session, "dial") is not None:
            tells += [(self._second, what, ("second", what.status)) for what in ends_for(self._first.session, "dial")]
        for side, what, key in tells:
            if key not in self._told:
                self._told.add(key)
                self._later(self._rng.randrange(50), lambda side=side, what=what: self._note(side, what))  # type: ignore[misc]

    def _send(self, side: Side, command: Command) -> None:
        assert command.command_id is not None
        leg = side.session.leg
        assert leg is not None
        ids = {"command": command.NAME, "command_id": command.command_id, "call_control_id": leg.call_control_id}
        self._note(side, CommandSent(body=write(command), **ids))  # type: ignore[arg-type]

        def carry_out() -> None:
            said = self._carry_out(command, "a" if side is self._first else "b")

            def answer() -> None:
                refusal = {"status": 422, "error_code": said} if said else {"status": 200}
                self._note(side, CommandAnswered(**ids, **refusal))  # type: ignore[arg-type]
                if command.NAME == Dial.NAME and not said:
                    news = ConsultNews(command_id="dial", news="dialled", call_session_id=SECOND, call_control_id=B)
                    self._note(side, news)

            self._later(self._rng.randrange(300), answer)

        self._later(self._rng.randrange(300), carry_out)

    # --- Telnyx ------------------------------------------------------------------------------------------------------

    def _carry_out(self, command: Command, leg: str) -> str | None:
        """What Telnyx does; its code where it refuses."""
        if not self._up[leg] and command.NAME != Dial.NAME:
            return "90018"
        match command.NAME:
            case "dial" | "transfer":
                self.made += 1
                self._make(command)
            case "bridge":
                if not self._up["b"]:
                    return "90018"
                self._parks = True
                self._join()
            case "hangup":
                self._end(leg, "normal_clearing" if leg == "a" or self._answered else "originator_cancel")
        return None

    def _make(self, command: Command) -> None:
        script = self._script
        if not script.consults and not self._up["a"]:
            return
        self._state_of_b = getattr(command, "client_state", None) or getattr(command, "target_leg_client_state", None)
        self._up["b"] = True
        self._tell("b", "call.initiated", direction="outgoing")
        if script.answers is None:
            wait = 4_000 if script.fails == "user_busy" else 20_000
            self._later(wait, lambda: self._end("b", script.fails))
        else:
            self._later(script.answers, self._answer)

    def _answer(self) -> None:
        if not self._up["b"]:
            return
        self._answered = True
        self._tell("b", "call.answered")
        if self._script.machine:
            self._later(1_500, lambda: self._tell("b", "call.machine.detection.ended", result="machine"))
        if self._script.leaves is not None and self._script.leaves[1] == "answer":
            self._later(self._script.leaves[2], self._leave)
        if not self._script.consults:
            self._join()

    def _join(self) -> None:
        self._joined = True
        self._tell("b", "call.bridged")
        self._tell("a", "call.bridged")
        if self._script.leaves is not None and self._script.leaves[1] == "join":
            self._later(self._script.leaves[2], self._leave)

    def _leave(self) -> None:
        assert self._script.leaves is not None
        self._end(self._script.leaves[0], "normal_clearing")

    def _end(self, leg: str, cause: str) -> None:
        if not self._up[leg]:
            return
        self._up[leg] = False
        self._tell(leg, "call.hangup", hangup_cause=cause)
        other = "b" if leg == "a" else "a"
        goes_along = self._joined and not (leg == "b" and self._parks)
        if not self._script.consults and leg == "a":
            goes_along = True  # a phone that rings for a caller who is gone
        joined, self._joined = self._joined, False
        if self._up[other] and goes_along:
            self._end(other, "normal_clearing" if joined else "originator_cancel")


def broken_orders(orders: int, first: int = 0, *, late_ms: int = LATE_MS_MAX) -> list[str]:
    """Play that many orders, of all scripts in turn, from seed `first`. What must not be, one line for each order. Where
    webhooks may be later than LATE_MS_MAX, the state at the end may be another one, with no leg up all the same."""
    found = []
    names = sorted(SCRIPTS)
    for seed in range(first, first + orders):
        name = names[seed % len(names)]
        order = Order(SCRIPTS[name], seed, late_ms=late_ms)
        ended, wanted = order.play(), SCRIPTS[name].ends
        problems = order.problems()
        if ended != wanted and late_ms <= LATE_MS_MAX:
            problems.append(f"it ended {ended}, not {wanted}")
        if problems:
            found.append(f"seed {seed} ({name}): {'; '.join(problems)}")
    return found
