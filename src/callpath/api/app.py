"""App: an application, one coroutine per call.

    app = App()

    @app.call(sample_rate_hz=16000)
    async def handle(call: Call) -> None:
        await call.play("welcome.wav")
        async for chunk in call.audio:          # PCM16 mono, 20 ms each, at 16 kHz
            await call.play(await think(chunk))

The coroutine is entered when the stream has started and cancelled when the call ends. `server/application.py` has what
follows when it returns or raises.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol, overload

import msgspec

from callpath.api.call import Call
from callpath.api.conference import Conference, Conferences
from callpath.api.ring import Decision, Handler, Ring
from callpath.call.numbers import check_number, same_number
from callpath.call.outcomes import Dialled
from callpath.errors import AudioError, InvalidRequestError, LocalProtocolError
from callpath.wire.command import MachineDetection
from callpath.wire.conference import Beep, Region

KEY_CHARS_MAX = 200
"""Maximum characters of the key of a dial."""

SAMPLE_RATES_HZ = (8000, 16000, 24000, 48000)
"""Rates at which a handler's audio can come and go."""

ErrorHandler = Callable[[Call, BaseException], Awaitable[None]]
Decide = Callable[[Ring], Awaitable[Decision | None]]
Lifespan = Callable[["App"], AsyncIterator[None]]


@dataclass(frozen=True, slots=True)
class Order:
    """A call to dial, judged. `key`: two orders with one key are one call."""

    to: str
    from_: str | None
    handler: str | None
    ring_s: int
    max_s: int | None
    detect: MachineDetection | None
    variables: dict[str, Any]
    connection_id: str | None
    key: str | None
    source: str = "by the application"
    """Who asked for it, for the timeline."""


class Dialler(Protocol):
    """What an App needs of the running server to dial."""

    async def dial(self, order: Order) -> Dialled:
        """Dial, and wait for the outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """One handler, and the calls that it takes."""

    handler: Handler
    name: str
    sample_rate_hz: int = 8000
    raw: bool = False
    numbers: tuple[str, ...] = ()
    when: Callable[[Ring], bool] | None = None
    is_default: bool = False
    """True for the handler of calls that no other handler takes."""


@dataclass(eq=False)
class App:
    """An application: handlers for its calls. Hand it to `callpath serve module:app`."""

    routes: list[Route] = field(default_factory=list)
    """Its handlers, in the order in which they were registered."""

    state: SimpleNamespace = field(default_factory=SimpleNamespace)
    """What the lifespan made, for handlers: `call.app.state`."""

    decider: Decide | None = None
    """Decides about calls that ring: `@app.incoming`."""

    error_handler: ErrorHandler | None = None
    """Entered after a handler has raised: `@app.on_error`."""

    conferences: Conferences = field(default_factory=Conferences)
    """What this process knows of conferences."""

    dialler: Dialler | None = None
    """The server that runs the App; None while none does."""

    _lifespan: Lifespan | None = None

    @overload
    def call(self, handler: Handler, /) -> Handler: ...

    @overload
    def call(
        self,
        /,
        *,
        numbers: Iterable[str] = (),
        when: Callable[[Ring], bool] | None = None,
        name: str | None = None,
        sample_rate_hz: int = 8000,
        raw: bool = False,
    ) -> Callable[[Handler], Handler]: ...

    def call(
        self,
        handler: Handler | None = None,
        /,
        *,
        numbers: Iterable[str] = (),
        when: Callable[[Ring], bool] | None = None,
        name: str | None = None,
        sample_rate_hz: int = 8000,
        raw: bool = False,
    ) -> Handler | Callable[[Handler], Handler]:
        """Decorator: enter `handler` for calls; their audio comes and goes at `sample_rate_hz`.

        Without `numbers`, `when` or `name` it is the App's default, of which there is one. `numbers`: for calls to one of
        these (E.164). `when`: for calls of which the predicate, given the Ring, is true; it must be quick, and may be asked
        more than once. `name`: how `Answer(handler=…)` and a dial name it; one with nothing but a name gets no other calls.
        A call is taken by the handler that was named for it, or else by its number, or else by the first predicate, or else
        by the default; where there is none it is rejected.

        With `raw` the handler gets payloads as they came, in the stream's encoding, and plays payloads: for bridges and
        for engines that speak the phone's codec. Nothing is decoded, resampled, or put in the place of what was lost. A
        payload to play may be of any length where its codec can be cut: PCMU, PCMA, G722, L16.

        Raises AudioError for a rate that is none of SAMPLE_RATES_HZ, LocalProtocolError for a second default or a name that
        is taken, InvalidRequestError for a number that is not E.164.
        """
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise AudioError(f"a handler's audio can be at 8000, 16000, 24000 or 48000 Hz, not at {sample_rate_hz}")
        called = tuple(check_number(number, "a number of @app.call") for number in numbers)

        def register(handler: Handler) -> Handler:
            is_default = not called and when is None and name is None
            if is_default and self._default is not None:
                raise LocalProtocolError(
                    "this App has a handler for all calls already: one App, one @app.call without numbers=, when= or name="
                )
            route_name = name or str(getattr(handler, "__name__", "handler"))
            if any(route.name == route_name for route in self.routes):
                raise LocalProtocolError(f"this App has a handler {route_name} already: give the second one name=…")
            self.routes.append(Route(handler, route_name, sample_rate_hz, raw, called, when, is_default))
            return handler

        return register if handler is None else register(handler)

    def incoming(self, decide: Decide, /) -> Decide:
        """Decorator: ask `decide` about each incoming call while it rings, before anything is answered. It gets a Ring and
        returns Answer, Reject, Forward or Ignore. Where it returns None, raises, or takes longer than 5 s, the call is
        answered by the handler that fits. Raises LocalProtocolError for a second one."""
        if self.decider is not None:
            raise LocalProtocolError("this App decides about incoming calls already: one App, one @app.incoming")
        self.decider = decide
        return decide

    def on_error(self, handle: ErrorHandler, /) -> ErrorHandler:
        """Decorator: enter `handle(call, error)` after a handler has raised, while the caller is still on the line: to
        say sorry, or to transfer to a person. It has 30 s; then the call is hung up, unless it was handed on. Raises
        LocalProtocolError for a second one."""
        if self.error_handler is not None:
            raise LocalProtocolError("this App handles errors already: one App, one @app.on_error")
        self.error_handler = handle
        return handle

    def lifespan(self, lifespan: Lifespan, /) -> Lifespan:
        """Decorator: run an async generator around the life of the server: HTTP clients, models, connections.

            @app.lifespan
            async def lifespan(app: App) -> AsyncIterator[None]:
                async with httpx.AsyncClient() as app.state.http:
                    yield

        What is before `yield` runs before the first call, in each process; what it raises stops the server. What is behind
        runs when all calls have ended. Raises LocalProtocolError for a second one, and for a function that never yields.
        """
        if self._lifespan is not None:
            raise LocalProtocolError("this App has a lifespan already: one App, one @app.lifespan")
        if not inspect.isasyncgenfunction(lifespan):
            raise LocalProtocolError("a lifespan is an async function with one yield: async def lifespan(app): … yield")
        self._lifespan = lifespan
        return lifespan

    async def dial(
        self,
        to: str,
        *,
        from_: str | None = None,
        handler: Handler | str | None = None,
        ring_s: float = 30.0,
        max_s: float | None = None,
        detect: MachineDetection | None = None,
        variables: dict[str, Any] | None = None,
        connection_id: str | None = None,
        key: str | None = None,
    ) -> Dialled:
        """Call a number or a SIP address. Returns what came of it, as soon as that is known; where somebody answers,
        `handler` (a function or its name; None: the one that fits) is entered with the call, and goes on by itself.

        `from_` is the number that is shown, `connection_id` the Call Control application's id; both have settings. The
        phone rings `ring_s` (5 to 600 s), and the call lasts `max_s` at most (30 to 14,400 s; None: Telnyx's four
        hours). `detect` asks for answering machine detection ("premium", …): the outcome waits for its verdict, the
        handler does not.
        `variables` (JSON) are the handler's `call.variables`. Two dials with one `key` (1 to 200 characters) are one call,
        for as long as the call log keeps it; one that Telnyx refused is dialled anew.

        After a crash the call goes on: its webhooks carry which handler takes it, and a dial whose answer was not heard is
        found again. A dial that is cancelled while it rings is hung up.

        What may be dialled, and how much, has settings: CALLPATH_DIAL_ALLOW and the caps behind it. Premium-rate and
        satellite numbers are refused unless they are listed there.

        Raises InvalidRequestError: `not_e164`, `out_of_range`, `unknown_handler`, `no_connection`, `not_allowed`,
        `too_many_calls`, `key_used`, `not_running`; StoreError where the dial cannot be written down, and so is not made.
        """
        order = self.order(
            to,
            from_=from_,
            handler=handler,
            ring_s=ring_s,
            max_s=max_s,
            detect=detect,
            variables=variables,
            connection_id=connection_id,
            key=key,
        )
        if self.dialler is None:
            raise InvalidRequestError(
                "not_running", "app.dial works while the server runs: in handlers and the lifespan"
            )
        return await self.dialler.dial(order)

    def conference(
        self,
        name: str,
        *,
        new: bool = False,
        max_participants: int | None = None,
        beep: Beep | None = None,
        comfort_noise: bool | None = None,
        max_minutes: int | None = None,
        region: Region | None = None,
    ) -> Conference:
        """The conference of this name: `async with app.conference("stand-up") as room`, then `await room.join(call)`.

        The first call that joins makes it; where one of this name goes on, calls join that, unless `new`. The rest is what
        it is made with: for `max_participants` (2 to 800; 250), with a `beep` for all `on_enter`, `on_exit` or
        `always`, for `max_minutes` (1 to 240). Raises InvalidRequestError (`name_in_use` with `new`, `out_of_range`).
        """
        return self.conferences.open(
            name,
            new=new,
            max_participants=max_participants,
            beep=beep,
            comfort_noise=comfort_noise,
            max_minutes=max_minutes,
            region=region,
        )

    # --- for the server ----------------------------------------------------------------------------------------------

    def order(
        self,
        to: str,
        *,
        from_: str | None = None,
        handler: Handler | str | None = None,
        ring_s: float = 30.0,
        max_s: float | None = None,
        detect: MachineDetection | None = None,
        variables: dict[str, Any] | None = None,
        connection_id: str | None = None,
        key: str | None = None,
    ) -> Order:
        """What `dial` hands to the server. Raises InvalidRequestError."""
        check_number(to, "the number to dial")
        if from_ is not None:
            check_number(from_, "from_ of a dial")
        if same_number(to, from_):
            raise InvalidRequestError("transfer_to_self", "a number cannot call itself: give another from_")
        if not 5 <= ring_s <= 600:
            raise InvalidRequestError("out_of_range", f"a phone rings 5 to 600 s: ring_s cannot be {ring_s:g}")
        if max_s is not None and not 30 <= max_s <= 14_400:
            raise InvalidRequestError("out_of_range", f"a call lasts 30 to 14,400 s: max_s cannot be {max_s:g}")
        try:
            given = msgspec.to_builtins(variables or {})
        except TypeError as error:
            raise InvalidRequestError("out_of_range", f"variables of a call must be JSON: {error}") from None
        if key is not None and not 1 <= len(key) <= KEY_CHARS_MAX:
            raise InvalidRequestError("out_of_range", f"the key of a dial has 1 to {KEY_CHARS_MAX} characters")
        return Order(
            to=to,
            from_=from_,
            handler=self.name_of(handler) if handler is not None else None,
            ring_s=math.ceil(ring_s),
            max_s=None if max_s is None else math.ceil(max_s),
            detect=detect,
            variables=given,
            connection_id=connection_id,
            key=key,
        )

    @property
    def _default(self) -> Route | None:
        return next((route for route in self.routes if route.is_default), None)

    @property
    def _first(self) -> Route | None:
        return self._default or next(iter(self.routes), None)

    @property
    def handler(self) -> Handler | None:
        """The handler for calls that no other one takes, or else the first; None: there is none at all."""
        return self._first.handler if self._first is not None else None

    @property
    def sample_rate_hz(self) -> int:
        """Of that handler."""
        return self._first.sample_rate_hz if self._first is not None else 8000

    @property
    def raw(self) -> bool:
        """Whether that handler is."""
        return self._first.raw if self._first is not None else False

    @property
    def name(self) -> str:
        """The name of the handler, for timelines."""
        return self._first.name if self._first is not None else "none"

    @property
    def takes_all(self) -> bool:
        """Every call is answered, whatever its number."""
        return self.decider is None and self._default is not None

    def name_of(self, handler: Handler | str) -> str:
        """The name of one of its handlers. Raises InvalidRequestError (`unknown_handler`)."""
        for route in self.routes:
            if handler in (route.name, route.handler):
                return route.name
        names = ", ".join(route.name for route in self.routes)
        given = handler if isinstance(handler, str) else getattr(handler, "__name__", "it")
        raise InvalidRequestError("unknown_handler", f"this App has no handler {given}: it has {names or 'none'}")

    def route(self, ring: Ring, name: str | None = None) -> Route | None:
        """The handler that takes a call. `name`: of the one that was chosen for it; one that is gone is as none."""
        for route in self.routes:
            if name is not None and route.name == name:
                return route
        ours = ring.from_ if ring.direction == "outgoing" else ring.to
        for route in self.routes:
            if any(same_number(number, ours) for number in route.numbers):
                return route
        for route in self.routes:
            if route.when is not None and not route.numbers and route.when(ring):
                return route
        return self._default

    def running(self) -> AbstractAsyncContextManager[None]:
        """Its lifespan."""

        async def nothing(_: Any) -> AsyncIterator[None]:
            yield

        return asynccontextmanager(self._lifespan or nothing)(self)
