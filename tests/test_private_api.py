"""Other packages' inner workings: used in one module, behind names of our own."""

from __future__ import annotations

import ast
import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from callpath import private_api
from callpath.server.drain import DrainingServer
from callpath.server.guard import GuardedHttp
from callpath.server.socket import MediaSockets

SRC = Path(__file__).parents[1] / "src" / "callpath"
PRIVATE = SRC / "private_api.py"

DOCUMENTED = {
    "asyncio": {""},
    "uvicorn": {""},
    "httptools": {""},
    "uvloop": {""},
    "websockets": {"", "asyncio.client", "exceptions", "frames", "http11", "datastructures", "typing"},
}
"""Modules of packages that have undocumented ones beside them."""

NAMEDTUPLES = {"_asdict", "_replace", "_fields", "_make"}
"""Public in spite of their underscore; and functions of `sys` that its documentation has."""
SYS = {"_current_frames", "_getframe"}


def uses_of_private_api(source: str) -> Iterator[str]:
    """What a module uses that its owner does not document."""
    tree = ast.parse(source)
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0):
                yield from _undocumented(module, node)
                if module.partition(".")[0] != "callpath":
                    yield from (f"from {module} import {alias.name}" for alias in node.names if _is_private(alias.name))
            case ast.Import():
                for alias in node.names:
                    yield from _undocumented(alias.name, node)
            case ast.ClassDef():
                bases = {ast.unparse(base) for base in node.bases}
                if bases & {"uvicorn.Server", "HttpToolsProtocol", "H11Protocol", "WebSocketsSansIOProtocol"}:
                    yield f"class {node.name}({', '.join(sorted(bases))})"
            case ast.Attribute(attr=attr) if _is_private(attr) and not _is_self(node.value) and attr not in own:
                of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys" and attr in SYS
                if attr not in NAMEDTUPLES and not of_sys:
                    yield ast.unparse(node)
            case ast.Name(id="vars") | ast.Constant(value="_asyncio_future_blocking"):
                yield ast.unparse(node)
            case _:
                pass


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _undocumented(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    package, _, rest = module.partition(".")
    if package in DOCUMENTED and rest not in DOCUMENTED[package]:
        yield ast.unparse(node)


@pytest.mark.parametrize(
    "path", [path for path in sorted(SRC.rglob("*.py")) if path != PRIVATE], ids=lambda path: str(path.relative_to(SRC))
)
def test_private_api_is_used_in_one_module_only(path: Path) -> None:
    """A minor release of uvicorn may rename any of it; then one file is to be read, and not thirty."""
    assert [] == sorted(set(uses_of_private_api(path.read_text())))


@pytest.mark.parametrize(
    "line",
    [
        "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol",
        "from uvicorn.server import ServerState",
        "import uvicorn.protocols.utils",
        "from websockets.speedups import apply_mask",
        "from websockets.utils import apply_mask",
        "from asyncio.futures import isfuture",
        "from asyncio import _get_running_loop",
        "class A(uvicorn.Server): ...",
        "transport._sock",
        "vars(protocol)",
        "class A:\n    _asyncio_future_blocking = False\n    x = getattr(1, '_asyncio_future_blocking')",
    ],
)
def test_what_counts_as_private(line: str) -> None:
    """Or the test above would look at nothing."""
    assert list(uses_of_private_api(line))


def of_bases(cls: type[Any], ours: bool) -> set[str]:
    """Names that the bases of a class have, or give themselves: those of `private_api`, or those of libraries."""
    names: set[str] = set()
    for base in cls.__mro__[1:-1]:
        if (base.__module__ == private_api.__name__) is ours:
            names.update(vars(base))
            names.update(attributes(base))
    return names


def attributes(cls: type[Any]) -> set[str]:
    """Of `self`, as they stand in the class's own source."""
    source = Path(sys.modules[cls.__module__].__file__ or "").read_text()
    (body,) = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
    return {node.attr for node in ast.walk(body) if isinstance(node, ast.Attribute) and _is_self(node.value)}


@pytest.mark.parametrize("cls", [GuardedHttp, MediaSockets, DrainingServer])
def test_what_is_built_on_it_uses_our_names_only(cls: type[Any]) -> None:
    """A subclass could reach every attribute of uvicorn's class by `self`, or override it by chance."""
    own = {name for name in vars(cls) if not name.startswith("__")}

    assert own & of_bases(cls, ours=True)
    assert (own | attributes(cls)) & of_bases(cls, ours=False) == set()


@pytest.mark.parametrize(
    "cls", [private_api.HttpConnection, private_api.UpgradeConnection, private_api.Server, private_api.EmbeddedServer]
)
def test_a_hook_has_a_name_that_the_library_does_not_use(cls: type[Any]) -> None:
    """uvicorn's Server gives itself an attribute `started`; a hook of that name would be overwritten by it."""
    inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
    given = {name for base in cls.__mro__[1:-1] if base.__module__.startswith("uvicorn") for name in attributes(base)}
    new = {name for name in vars(cls) if not name.startswith("__")} - inherited

    assert given
    assert new & given == set()


# --- an embedded server's sockets ------------------------------------------------------------------------------------


def embedded(*, starts: bool = True) -> private_api.EmbeddedServer:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and not starts:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

    lifespan: Any = "auto" if starts else "on"
    return private_api.EmbeddedServer(
        uvicorn.Config(app, log_config=None, lifespan=lifespan, timeout_graceful_shutdown=1)
    )


async def _body_returns(listener: socket.socket) -> None:
    async with embedded().serving(listener):
        assert listener.fileno() >= 0


async def _body_raises(listener: socket.socket) -> None:
    with pytest.raises(KeyError):
        async with embedded().serving(listener):
            raise KeyError


async def _body_is_cancelled(listener: socket.socket) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), embedded().serving(listener):
            await asyncio.Event().wait()


async def _start_is_cancelled(listener: socket.socket) -> None:
    async def serve() -> None:
        async with embedded().serving(listener):
            raise AssertionError("it is cancelled before")

    task = asyncio.get_running_loop().create_task(serve())
    await asyncio.sleep(0)  # as far as the wait for the server's own start
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _start_fails(listener: socket.socket) -> None:
    with pytest.raises(SystemExit):
        await embedded(starts=False).serve(sockets=[listener])


async def _server_is_cancelled(listener: socket.socket) -> None:
    """As a group does it whose body failed: uvicorn's own way to stop is left out."""
    server = embedded()
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(one.is_serving() for one in server.servers)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "end",
    [_body_returns, _body_raises, _body_is_cancelled, _start_is_cancelled, _start_fails, _server_is_cancelled],
)
async def test_an_embedded_server_leaves_no_listener_open(end: Callable[[socket.socket], Awaitable[None]]) -> None:
    """The garbage collector finds it at some later time, and a test that has nothing to do with it fails."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await end(listener)

        assert listener.fileno() == -1
