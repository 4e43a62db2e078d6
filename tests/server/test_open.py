"""What an application hangs on its App and its Call stays there, compiled or not (tests/test_compiled.py runs this too)."""

from __future__ import annotations

import weakref
from typing import Any

from callpath import App, Call
from callpath.testing import place_call


async def test_a_call_takes_attributes_and_stand_ins_for_methods() -> None:
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
