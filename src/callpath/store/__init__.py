"""The call log: where timelines are kept.

port      what a store can do, and what it promises   (start here)
memory    in this process, for tests
sql       a database through SQLAlchemy; group commits
sqlite    what is special to SQLite: one machine
lock      one server for each SQLite file
postgres  what is special to Postgres: many nodes
schema    the tables
archive   where recordings are kept after their calls: an object store, or a folder
migrations/  the schema, version by version
migrate   runs them
"""
