"""`App` and `Call` as an application uses them: objects and classes like any other, compiled or not."""

from __future__ import annotations

import weakref
from typing import Any

from callpath import App, Call
from callpath.clock import ManualClock
from callpath.testing import place_call


async def test_a_call_takes_attributes_and_replaced_methods() -> None:
    """As every Python object does: state of the handler's own, and a test's replacement of a method."""
    app: Any = App()
    app.tenant = "acme"
    noted: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        ours: Any = call
        ours.guest = "Ada"
        ours.note = noted.append
        ours.note(f"{ours.guest} of {app.tenant}")
        weakref.ref(call)

    async with place_call(app) as caller:
        await caller.run(ms=100)

    assert noted == ["Ada of acme"]


async def test_an_app_and_a_clock_may_be_subclassed() -> None:
    """In every build: a framework puts its own App on top, a test its own clock."""

    class Tenants(App):
        tenant = "acme"

    class Named(Call):
        """A subclass of the application's own, for its type hints."""

    class Slow(ManualClock):
        def now_unix_ms(self) -> int:
            return super().now_unix_ms() + 1

    app = Tenants()

    @app.call
    async def handle(call: Call) -> None:
        await call.hangup()

    async with place_call(app) as caller:
        await caller.run(ms=100)

    assert app.tenant == "acme" and issubclass(Named, Call)
    assert Slow(unix_ms=1).now_unix_ms() == 2
