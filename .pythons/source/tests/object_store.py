"""An S3 server of the tests' own (moto), as a process: it can be away, and come back with another port's emptiness."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "calls"


def environment(endpoint: str) -> dict[str, str]:
    """What a user of such a server sets."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }


@contextmanager
def running() -> Iterator[str]:
    """Its URL; it has one bucket, BUCKET."""
    started = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert started.stdout is not None
    try:
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in started.stdout)))
        request = urllib.request.Request(f"{found[0]}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request).close()
        yield found[0]
    finally:
        started.kill()
        started.wait()
        started.stdout.close()
