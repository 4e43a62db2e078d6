"""The call log: where timelines are kept.

port    what a store can do, and what it promises   (start here)
memory  in this process, for tests
sql     SQLite through SQLAlchemy; group commits
schema  the tables
migrations/  the schema, version by version
"""
