"""What people see, and what they may share."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from callpath.doctor.engine import judge
from callpath.doctor.evidence import judge_again
from callpath.doctor.facts import Arrival
from callpath.doctor.recorded import judge_call
from callpath.doctor.report import (
    cause_pages,
    document,
    explained,
    explained_plain,
    html_page,
    lanes,
    markdown,
    redacted,
    step_line,
    terminal,
)
from callpath.doctor.report.causes import SYMPTOMS
from callpath.doctor.report.terminal import headline
from callpath.doctor.rule import Cause
from callpath.doctor.rules import CAUSES, RULES, known, sample_call
from callpath.doctor.rules.sample import NGINX_404, answer, ended, media, upgrade
from callpath.doctor.verdict import Diagnosis, Source, Step
from callpath.timeline import DtmfReceived, Noted

INCIDENTS = Path(__file__).parent / "incidents"


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
    first, second = text.splitlines()[1:3]

    assert "\x1b[1;31merror[HTTP002]: voice.example.com: The proxy has no route for this path\x1b[0m" == first
    assert second.startswith("  fix: Add the route")
    assert "$ curl -i -N --http1.1" in text
    assert "usual suspects" not in text
    assert "\x1b[" not in terminal(judge("wss://voice.example.com/", media()), colour=False)


def test_what_is_not_decided_is_a_list_to_work_through() -> None:
    """Slugs are no help at 2 a.m.: titles, the likeliest first, each with the command that tells."""
    silent = replace(ended("eof", at_ms=1000.0), after="media")
    arrival = Arrival(990.0, "text", 300, "", "media", b"\xff")
    text = terminal(judge("wss://voice.example.com/", media(arrival, ending=silent)), colour=False)
    lines = text.splitlines()

    assert lines[1].startswith("not decided[KEEP002]: voice.example.com: cut without a close frame")
    assert [line for line in lines[2:4] if line.startswith("  to find out: ")]
    assert "    1. The application crashes" in text
    assert "callpath doctor url --idle 130" in text


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "\x1b[2J", "\u202egnp.exe", "a\x00b\x9bm", "up\x08\x08down"])
def test_a_strangers_text_moves_no_cursor(text: str) -> None:
    """Status, headers, bodies and close reasons come from the examined server."""
    shown = judge("wss://voice.example.com/", upgrade(answer(418, f"body {text}", Server=text)))
    steps = (Step("upgrade", "failed", 12.0, text),)
    whole = terminal(shown, colour=False, verbose=True) + step_line(steps[0], colour=False) + markdown(shown)

    assert [c for c in whole if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e")] == []


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("/api/calls/test-connection/audio/abc", "abc"),
        ("/api/calls/11111111-1234-1234-1234-123456789012/audio/k3yK3yk3y", "k3yK3yk3y"),
        ("/ws/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
        ("/stream/Zx81QpLm_03kTyBvNwEr?x=1", "Zx81QpLm_03kTyBvNwEr"),
        ("/media/11111111-1234-1234-1234-123456789012", ""),
        ("/inbound-media-stream-of-calls", ""),
        ("/callpath-doctor-made-up-path", ""),
        ("/telnyx/streamingMediaEndpoint", ""),
    ],
)
def test_a_token_in_the_path_is_hidden(path: str, hidden: str) -> None:
    """callpath itself puts tokens there, and fixes say so; a report of it is pasted into tickets."""
    text = redacted(f"wss://voice.example.com{path} and GET {path} -> 404")

    assert (hidden not in text) if hidden else (path in text)


@pytest.mark.parametrize(
    "secret",
    ["token=hunter2secret", "+15551234567", "KEY0123456789ABCDEF_abc", "wss://user:hunter2@voice.example.com/",
     "x-telnyx-streaming-auth-token: hunter2secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln",
     "token=11111111-1234-1234-1234-123456789012", "v3:T02llQxyaRkhfRKxAahIkv8b", "wss://h.example/x?jwt=zzz9",
     "/x?access=9f86d081884c7d659a2feaa0", "/x?ticket=1234567"],
)  # fmt: skip
def test_secrets_are_hidden(secret: str) -> None:
    """A report is pasted into tickets."""
    value = secret.split("=")[-1].split(": ")[-1].rpartition("user:")[2].partition("@")[0]

    assert value not in redacted(f"before {secret} after")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("from 15555550123 to 15555550199", True), ("sip:15555550123@sip.example.com", True),
        ("my card is 4111 1111 1111 1111", True), ("ada@example.com", True), ("v2:T02llQxyaRkhfRKxAahIkv8b", True),
        ("session 11111111-1234-1234-1234-123456789012", False), ("2026-01-02 03:04:05.678 UTC", False),
        ("203.0.113.9:44318 after 12345 ms", False), ("/x?call_session=11111111-1234-1234-1234-123456789012", False),
        ("/x?voice=alice-from-telnyx-studio&lang=en", False),
    ],
)  # fmt: skip
def test_numbers_are_hidden_and_ids_are_not(text: str, hidden: bool) -> None:
    """Support finds a call by its ids and times; nobody needs the numbers."""
    assert (redacted(text) != text) is hidden


def test_a_calls_report_can_be_acted_on_alone() -> None:
    """Which call, when, how far, why, what else was asked: whoever reads it has nothing else."""
    happened = [*sample_call.ACCEPTED, Noted(text="she said hello"), (20_000, sample_call.hung_up())]
    sources = (Source("Telnyx", "not asked", "--offline"),)
    found = judge_call(sample_call.a_call(happened), sources=sources)
    text = markdown(found)

    for needed in (sample_call.SESSION, "leg-1", "2026-01-02 03:04:05.000 UTC", "NOT REACHED", "| 20.000 s | Telnyx |",
                   "Telnyx: not asked; --offline", "to find out: ",
                   sample_call.URL, "callpath ", "Python 3"):  # fmt: skip
        assert needed in text
    assert "she said" not in text


def test_the_picture_of_a_call_is_plain_svg() -> None:
    """It is opened by strangers, offline: no scripts, nothing fetched, and what is quoted stays text."""
    happened = [*sample_call.ASKED, sample_call.answered("streaming_start", 422, "1", "<script>alert(1)</script>")]
    call = judge_call(sample_call.a_call(happened)).call
    assert call is not None
    picture = lanes(call)

    assert xml.etree.ElementTree.fromstring(picture).tag.endswith("svg")
    assert "<script" not in picture
    assert "not reached: streaming_start accepted" in picture


def test_a_long_timeline_is_cut_in_the_middle() -> None:
    """A report shows how a call began and how it ended."""
    keys = [(1000 + n, DtmfReceived(digit="1")) for n in range(1000)]
    call = judge_call(sample_call.a_call([*sample_call.CAME, *keys, (20_000, sample_call.hung_up())])).call
    assert call is not None

    assert lanes(call).count("<circle") <= 242
    assert "call.hangup" in lanes(call)


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
    for cause in CAUSES:
        page = explained(cause)

        assert cause.code in page
        assert cause.fix in page


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_on_a_terminal_an_explanation_is_plain_text(cause: Cause) -> None:
    """Fences, tables and lines of 220 columns are for browsers."""
    text = explained_plain(cause, width=72)

    assert cause.title.split()[0] in text
    assert [] == [mark for mark in ("**", "```", "|---") if mark in text]
    assert [] == [line for line in text.splitlines() if len(line) > 72 and " " in line.strip()[:60]]


def test_an_old_code_names_the_new_one() -> None:
    """A ticket of last year says EDGE006."""
    page = explained(known("EDGE006")[0], asked="edge006")

    assert "EDGE006 is now part of ROUTE001 url-path-mismatch." in page
    assert "url-too-long is now part of URL004 url-malformed." in explained_plain(
        known("URL-too-long")[0], "URL-too-long"
    )
    assert "now part of" not in explained_plain(known("URL004")[0], "url-malformed")


FAULT = judge("wss://voice.example.com/", upgrade(answer(404, NGINX_404)))
LIMITED = judge("wss://voice.example.com/", media(ending=ended(code=1008)))
OPEN = judge_call(sample_call.a_call([*sample_call.ACCEPTED, (20_000, sample_call.hung_up())]))


@pytest.mark.parametrize("diagnosis", [FAULT, LIMITED, OPEN], ids=["fault", "limited", "open"])
def test_every_form_begins_with_the_same_sentence(diagnosis: Diagnosis) -> None:
    """A cause that is named on the terminal and "not decided" in the ticket is two answers to one question."""
    words = headline(diagnosis)
    found = diagnosis.verdict

    assert found is not None
    assert words.startswith("error[") is (found.finding.kind == "fault")
    assert words in " ".join(terminal(diagnosis, colour=False, width=10_000).split())
    assert f"**{words}**" in markdown(diagnosis)
    assert words == document(diagnosis)["heading"]
    assert document(diagnosis)["decided"] is (found.finding.kind == "fault")


@pytest.mark.parametrize("diagnosis", [FAULT, LIMITED, OPEN], ids=["fault", "limited", "open"])
def test_confidence_is_always_said(diagnosis: Diagnosis) -> None:
    """A reader must be able to tell "proved" from "nobody thought about it"."""
    assert "confidence" in terminal(diagnosis, colour=False)
    assert "confidence" in markdown(diagnosis)


def test_the_index_is_by_symptom() -> None:
    """People search for what they see: a status, a silence, a noise. Each row leads to a cause that exists."""
    index = cause_pages(CAUSES)["index.md"]

    assert {slug for _, slugs in SYMPTOMS for slug in slugs} <= {cause.slug for cause in CAUSES}
    assert "### 404" in index
    assert "- [The number is not assigned to an application](TELNYX006.md)" in index


def test_a_link_to_a_merged_code_leads_on() -> None:
    """Reports, tickets and chats hold the old ones."""
    pages = cause_pages(CAUSES)

    assert {f"{code}.md" for cause in CAUSES for code in (cause.code, *cause.old_codes)} < set(pages)
    assert "EDGE006 is now part of [ROUTE001 url-path-mismatch](ROUTE001.md)" in pages["EDGE006.md"]
    assert "Also known as: HTTP021, misdirected-request-421." in pages["WS002.md"]


TO_TYPE = re.compile(
    r"`[^`]+`|--[a-z][\w-]+|\b[A-Za-z_][\w.]*=\S|\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b|\w+\([^)]*\)|\b[a-z]+_\w+|\$\w+|wss?://"
    r"|\b(callpath|nginx|dig|curl|openssl|kubectl|docker|railway|fly|heroku|gcloud|az|aws|ss|ufw|iptables|certbot|ngrok"
    r"|cloudflared|tail|grep|py-spy|ping|npm|pip|timedatectl|uvicorn|callpath doctor) [\w+@-]"
)


def test_two_of_three_fixes_hold_something_to_type() -> None:
    """A command, a setting or a line of code: at 2 a.m. advice is one more thing to look up."""
    fixes = {rule.fix for rule in RULES}
    advice = sorted(fix for fix in fixes if not TO_TYPE.search(fix))

    assert len(advice) * 3 <= len(fixes), advice[:20]


@pytest.mark.parametrize(
    "name", ["review-close-1000-unknown-id", "lab-tls-expired", "lab-healthy-nginx", "user-a-good-call"]
)
def test_every_form_begins_with_the_same_words(name: str) -> None:
    """A ticket, a terminal and the dashboard (which shows `heading`) must not tell three stories of one cause."""
    diagnosis = judge_again((INCIDENTS / f"{name}.json").read_bytes())
    heading = document(diagnosis)["heading"]

    assert heading in " ".join(terminal(diagnosis, colour=False, width=400).split())
    assert f"**{heading}**" in markdown(diagnosis)
    assert html.escape(heading, quote=False) in html_page(diagnosis).replace("&#x27;", "'").replace("&quot;", '"')
    assert "ruled out" not in (markdown(diagnosis) + terminal(diagnosis, colour=False, verbose=True)).lower()
