"""What keeps compiled objects open to those who use them. This module is never compiled itself."""

from __future__ import annotations


class Open:
    """The base of classes that applications hold. A compiled class has fixed attributes unless it has a base that is not
    compiled (and lays no claim to memory): so a handler may write `call.guest = …`, and a test put its own `call.play`."""

    __slots__ = ()
