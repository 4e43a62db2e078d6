"""A Postgres server of the tests' own, started once where the machine has one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from callpath.cli.demo import _free_ports

ACCOUNT = "postgres"
"""Postgres does not run as root; Debian's package comes with this user."""


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where there is no Postgres, or no driver for it."""
    try:
        import psycopg
    except ImportError:
        return None
    assert psycopg.__version__
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    if found := shutil.which("initdb"):
        places.append(Path(found).parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


@contextmanager
def running(*, fsync: bool = False) -> Iterator[str]:
    """The URL of a server without any of our tables, `{}` in the place of the database. Fast rather than durable."""
    place = programs()
    assert place is not None
    (port,) = _free_ports(1)
    with TemporaryDirectory(prefix="callpath-postgres-") as folder:
        data = Path(folder) / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT)
        _run(place / "initdb", "--pgdata", data, "--username", "callpath", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync={fsync}"
        _run(place / "pg_ctl", "--pgdata", data, "--wait", "--log", data / "log", "--options", options, "start")
        try:
            yield f"postgresql://callpath@127.0.0.1:{port}/{{}}"
        finally:
            _run(place / "pg_ctl", "--pgdata", data, "--wait", "--mode", "immediate", "stop")


def new_database(server: str) -> str:
    """The URL of an empty database."""
    import psycopg

    name = f"test_{uuid4().hex}"
    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return server.format(name)


def _run(*command: object) -> None:
    as_account = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
    done = subprocess.run([*as_account, *map(str, command)], check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
