"""A voice application without WebSockets: plain WSGI, for wsgiref or gunicorn.

python -m tests.lab.backends.wsgi_app --host 127.0.0.1 --port 8080
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import make_server


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith("/health"):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"status": "ok"}).encode()]
    start_response("404 Not Found", [("Content-Type", "text/html; charset=utf-8")])
    return [
        b"<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"
        b"<p>The requested URL was not found on the server.</p>\n"
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    make_server(arguments.host, arguments.port, app).serve_forever()


if __name__ == "__main__":
    main()
