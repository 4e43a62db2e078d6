"""The tables of the call log. Migrations bring a database here step by step; this is where they arrive."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData()


class AnyText(TypeDecorator[str]):
    """Text with whatever characters. Postgres takes no NUL and cuts nothing off: there NUL is written as `\\0`, a
    backslash doubled, and the length is not limited. SQLite keeps text as it is."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "postgresql" else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\\", "\\\\").replace("\0", "\\0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or dialect.name != "postgresql":
            return value
        return "\\".join(part.replace("\\0", "\0") for part in value.split("\\\\"))


_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up by itself


class AnyLongText(AnyText):
    """The same, of no given length."""

    impl = Text
    cache_ok = True


# `overview` is a fold of the call's entries, kept with each append; `number` (of the latest entry), `direction`,
# `outcome` and `search` repeat parts of it for queries. All five may be lost: opening the log makes them anew.
calls = Table(
    "calls",
    metadata,
    Column("session", AnyText(200), primary_key=True),
    Column("first_unix_ms", BigInteger, nullable=False),
    Column("last_unix_ms", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("number", BigInteger),
    Column("direction", String(40)),
    Column("outcome", String(20)),
    Column("search", AnyLongText),
    Column("overview", LargeBinary),
    Index("calls_by_start", "first_unix_ms"),
    Index("calls_by_outcome", "outcome", "first_unix_ms"),
    Index("calls_by_change", "number"),
)

entries = Table(
    "entries",
    metadata,
    Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("session", AnyText(200), nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("kind", AnyText(60), nullable=False),
    Column("key", AnyText(200)),
    Column("leg", AnyText(200)),
    Column("call_control_id", AnyText(400)),
    Column("what", LargeBinary, nullable=False),
    Index("entries_by_session", "session", "number"),
    Index("entries_once", "session", "key", unique=True),
    Index("entries_by_leg", "leg"),
    Index("entries_by_call_control_id", "call_control_id"),
)

refusals = Table(
    "refusals",
    metadata,
    Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("what", AnyText(20), nullable=False),
    Column("reason", AnyText(60), nullable=False),
    Column("detail", AnyLongText, nullable=False),
    Column("client", AnyText(200)),
    Column("path", AnyText(400)),
)

leases = Table(
    "leases",
    metadata,
    Column("session", AnyText(200), primary_key=True),
    Column("node", AnyText(200), nullable=False),
    Column("until_unix_ms", BigInteger, nullable=False),
    Index("leases_by_end", "until_unix_ms"),
)

UNUSED = ("nodes", "finished")
"""Tables of migration 0004 that nothing reads any more. They stay: nodes of the version before write to `nodes` with each
renewal, and would lose their calls in the middle of a deploy without it."""
