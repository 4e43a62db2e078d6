"""What people see, and what they may share."""

from __future__ import annotations

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.report import explained, html_page, markdown, redacted, step_line, terminal
from callpath.doctor.rules import RULES
from callpath.doctor.rules.sample import NGINX_404, answer, media, upgrade
from callpath.doctor.verdict import Step


def test_a_report_fits_eighty_columns() -> None:
    """Terminals at 2 a.m. are narrow."""
    steps = (Step("upgrade", "failed", 12.0, "404 Not Found " * 20),)
    for verbose in (False, True):
        for facts in (upgrade(answer(404, NGINX_404)), upgrade(answer(418)), media()):
            text = terminal(judge("wss://voice.example.com/", facts, steps), colour=False, verbose=verbose)

            assert max(len(line) for line in text.splitlines() if " " in line.strip()) <= 80
    assert len(step_line(steps[0], colour=False)) <= 80


def test_the_cause_stands_once_and_bold() -> None:
    """One root cause, to be seen from across the room."""
    text = terminal(judge("wss://voice.example.com/", upgrade(answer(404, NGINX_404))), colour=True)

    assert text.count("\x1b[1mThe proxy has no route for this path\x1b[0m") == 1
    assert "\x1b[" not in terminal(judge("wss://voice.example.com/", media()), colour=False)


@pytest.mark.parametrize(
    "secret",
    ["token=hunter2secret", "+15551234567", "KEY0123456789ABCDEF_abc", "wss://user:hunter2@voice.example.com/",
     "x-telnyx-streaming-auth-token: hunter2secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln", "v3:T02llQxyaRkhfRKxAahIkv8b"],
)  # fmt: skip
def test_secrets_are_hidden(secret: str) -> None:
    """A report is pasted into tickets."""
    value = secret.split("=")[-1].split(": ")[-1].rpartition("user:")[2].partition("@")[0]

    assert value not in redacted(f"before {secret} after")


def test_the_given_token_is_hidden_wherever_it_stands() -> None:
    """Servers repeat it in their bodies."""
    diagnosis = judge("wss://voice.example.com/?x=s3cr3t", upgrade(answer(418, "you said s3cr3t")))

    assert "s3cr3t" not in markdown(diagnosis, "s3cr3t")
    assert "s3cr3t" not in html_page(diagnosis, "s3cr3t")


def test_html_runs_nothing() -> None:
    """A body that we quote may hold a script."""
    page = html_page(judge("wss://voice.example.com/", upgrade(answer(418, "<script>alert(1)</script>"))))

    assert "<script" not in page
    assert page.startswith("<!doctype html>")


def test_every_code_can_be_explained() -> None:
    """`callpath doctor explain CODE` is where the report sends people."""
    for rule in RULES:
        page = explained(rule)

        assert rule.code in page
        assert rule.fix in page
