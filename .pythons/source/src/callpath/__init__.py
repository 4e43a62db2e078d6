"""callpath: Telnyx calls that work, and the reason when one does not.

    from callpath import App, Call

    app = App()

    @app.call
    async def handle(call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)

Run it with `callpath serve module:app`. `callpath.server` carries calls, `callpath.doctor` names what is wrong,
`callpath.simulator` is a stand-in Telnyx, `callpath.wire` is what goes over the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callpath.server.bridge import bridge
    from callpath.server.handler import App, Call

__version__ = "0.1.0"
__all__ = ["App", "Call", "__version__", "bridge"]


def __getattr__(name: str) -> Any:
    """App, Call and bridge are imported when asked for: `callpath --help` must not wait for numpy."""
    if name in ("App", "Call"):
        from callpath.server import handler

        return getattr(handler, name)
    if name == "bridge":
        from callpath.server.bridge import bridge

        return bridge
    raise AttributeError(f"module 'callpath' has no attribute {name!r}")
