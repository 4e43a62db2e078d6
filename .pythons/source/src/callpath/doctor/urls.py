"""Two URLs, part by part: where does one differ from the other, in words."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, urlsplit

_USUAL_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def same_url(theirs: str, ours: str) -> bool:
    """Whether both lead to the same place: scheme and host without regard to case, the usual port written or not."""
    return not differences(theirs, ours)


def same_host(theirs: str, ours: str) -> bool:
    """Whether both name one host."""
    a, b = _parts(theirs), _parts(ours)
    return a is not None and b is not None and bool(a.hostname) and _host(a) == _host(b)


def differences(theirs: str, ours: str) -> tuple[str, ...]:
    """What `theirs` has in another way than `ours`, each difference in one sentence."""
    if not theirs.strip():
        return (f"it is empty, and should be {ours}",)
    if theirs != theirs.strip():
        return (f"it has blanks around it: {theirs!r}",)
    a, b = _parts(theirs), _parts(ours)
    if a is None or b is None or not a.hostname:
        return (f"it is not a full URL: {theirs!r}",)
    found = []
    if a.scheme.lower() != b.scheme.lower():
        found.append(f"the scheme is {a.scheme.lower()}, ours is {b.scheme.lower()}")
    if _host(a) != _host(b):
        found.append(f"the host is {_host(a)}, ours is {_host(b)}")
    elif _port(a) != _port(b) and a.scheme.lower() == b.scheme.lower():
        found.append(f"the port is {_port(a)}, ours is {_port(b)}")
    if unquote(a.path) != unquote(b.path):
        found.append(_paths(a.path, b.path))
    if a.query != b.query:
        found.append(
            f"the query is {'?' + a.query if a.query else 'missing'}, ours is {'?' + b.query if b.query else 'none'}"
        )
    return tuple(found)


def _paths(theirs: str, ours: str) -> str:
    if theirs.rstrip("/") == ours.rstrip("/"):
        return f"the path {theirs!r} {'has' if theirs.endswith('/') else 'lacks'} a slash at the end, ours is {ours!r}"
    if "//" in theirs and "/".join(filter(None, theirs.split("/"))) == "/".join(filter(None, ours.split("/"))):
        return f"the path {theirs!r} has a doubled slash, ours is {ours!r}"
    if theirs.lower() == ours.lower():
        return f"the path {theirs!r} differs from ours, {ours!r}, in upper and lower case"
    return f"the path is {theirs or '/'!r}, ours is {ours!r}"


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".").lower()


def _port(parts: SplitResult) -> int | None:
    return parts.port or _USUAL_PORTS.get(parts.scheme.lower())
