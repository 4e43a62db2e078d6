"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import object_store, postgres


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests run on asyncio, which is what the server runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a Postgres server, `{}` in the place of the database."""
    if postgres.programs() is None:
        pytest.skip("no Postgres on this machine (Debian: apt install postgresql)")
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server; see tests.object_store for what else a client is told."""
    with object_store.running() as url:
        yield url
