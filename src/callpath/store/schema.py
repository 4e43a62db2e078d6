"""The tables of the call log. Migrations bring a database here step by step; this is where they arrive."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

_ROW_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up by itself

# `overview` is a fold of the call's entries, kept with each append; `number` (of the latest entry), `direction`,
# `outcome` and `search` repeat parts of it for queries. All five may be lost: opening the log makes them anew.
calls = Table(
    "calls",
    metadata,
    Column("session", String(200), primary_key=True),
    Column("first_unix_ms", BigInteger, nullable=False),
    Column("last_unix_ms", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("number", BigInteger),
    Column("direction", String(40)),
    Column("outcome", String(20)),
    Column("search", Text),
    Column("overview", LargeBinary),
    Index("calls_by_start", "first_unix_ms"),
    Index("calls_by_outcome", "outcome", "first_unix_ms"),
    Index("calls_by_change", "number"),
)

entries = Table(
    "entries",
    metadata,
    Column("number", _ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("session", String(200), nullable=False),
    Column("at_unix_ms", BigInteger, nullable=False),
    Column("kind", String(60), nullable=False),
    Column("key", String(200)),
    Column("leg", String(200)),
    Column("call_control_id", String(400)),
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
    Column("what", String(20), nullable=False),
    Column("reason", String(60), nullable=False),
    Column("detail", Text, nullable=False),
    Column("client", String(200)),
    Column("path", String(400)),
)
