"""A Postgres server of the tests' own, started once where the machine has one."""

from __future__ import annotations

import os
import shutil
import signal
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


class Server:
    """A server that can be stopped and started, or frozen: a failover, and a machine that stands still."""

    def __init__(self, place: Path, data: Path, port: int, options: str) -> None:
        self.url = f"postgresql://callpath@127.0.0.1:{port}/{{}}"
        self._place = place
        self._data = data
        self._options = options

    def start(self) -> None:
        self._pg_ctl("--log", self._data / "log", "--options", self._options, "start")

    def stop(self) -> None:
        self._pg_ctl("--mode", "immediate", "stop")

    def freeze(self) -> None:
        """Connections stay, and nobody answers on them."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _pg_ctl(self, *words: object) -> None:
        _run(self._place / "pg_ctl", "--pgdata", self._data, "--wait", *words)

    def _pids(self) -> list[int]:
        """The server's first process, so that it starts no others, and then those."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


@contextmanager
def controlled(*, fsync: bool = False) -> Iterator[Server]:
    """A server without any of our tables. Fast rather than durable."""
    place = programs()
    assert place is not None
    (port,) = _free_ports(1)
    with TemporaryDirectory(prefix="callpath-postgres-") as folder:
        data = Path(folder) / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT)
        _run(place / "initdb", "--pgdata", data, "--username", "callpath", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync={fsync}"
        server = Server(place, data, port, options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def running(*, fsync: bool = False) -> Iterator[str]:
    """The URL of such a server, `{}` in the place of the database."""
    with controlled(fsync=fsync) as server:
        yield server.url


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
