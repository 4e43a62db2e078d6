"""Platforms' wrappers come off, and leave what they know."""

from __future__ import annotations

import json

import pytest

from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.times import Clockwork
from callpath.doctor.logs.unwrap import unwrap

AT = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z
POD = "web-5d8f9c7b6d-x2k4p"

WRAPPED = [
    ("Railway text", "2026-01-02T03:04:05.678901234Z [err]  SAID", "", AT),
    ("Railway export", json.dumps({"message": "SAID", "timestamp": "2026-01-02T03:04:05.678Z", "attributes": {},
                                   "tags": {"replica": "r1"}}), "r1", AT),
    ("Render", "Jan 2 03:04:05 AM  SAID", "", AT - 678),
    ("Fly", "2026-01-02T03:04:05.678Z app[148e2] ams [info] SAID", "148e2", AT),
    ("Heroku", "2026-01-02T03:04:05.678901+00:00 app[web.1]: SAID", "web.1", AT),
    ("docker -t", "2026-01-02T03:04:05.678901234Z SAID", "", AT),
    ("docker compose", "web-1  | SAID", "web-1", None),
    ("docker json-file", '{"log":"SAID\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}', "", AT),
    ("kubectl --prefix", f"[pod/{POD}/app] SAID", POD, None),
    ("stern", f"{POD} app SAID", POD, None),
    ("CRI", "2026-01-02T04:04:05.678901234+01:00 stdout F SAID", "", AT),
    ("syslog", "Jan  2 03:04:05 host bot[123]: SAID", "host/bot", AT - 678),
    ("syslog", "<34>Jan  2 03:04:05 host bot[123]: SAID", "host/bot", AT - 678),
    ("syslog", "2026-01-02T04:04:05+0100 host bot[123]: SAID", "host/bot", AT - 678),
    ("syslog (RFC 5424)", "<34>1 2026-01-02T03:04:05.678Z host bot 123 ID47 - SAID", "bot", AT),
    ("syslog (RFC 5424)", "83 <40>1 2026-01-02T03:04:05.678+00:00 host app web.1 - SAID", "web.1", AT),
    ("journald JSON", '{"__REALTIME_TIMESTAMP":"1767323045678000","MESSAGE":"SAID","_PID":"7"}', "", AT),
    ("CloudWatch", "2026-01-02T03:04:05.678000+00:00 ecs/web/0123abcd SAID", "ecs/web/0123abcd", AT),
    ("CloudWatch", f'{{"timestamp":{AT},"message":"SAID","ingestionTime":{AT + 2000}}}', "", AT),
    ("CloudWatch", '{"@timestamp":"2026-01-02 03:04:05.678","@message":"SAID"}', "", AT),
    ("Google Cloud", '{"textPayload":"SAID","timestamp":"2026-01-02T03:04:05.678Z","severity":"INFO"}', "", AT),
    ("Vercel", f'{{"id":"1","timestampInMs":{AT},"message":"SAID"}}', "", AT),
    ("Supabase", f'{{"event_message":"SAID","timestamp":{AT}000,"function_id":"f1"}}', "f1", AT),
    ("Loki", f'{{"line":"SAID","timestamp":"{AT}000000"}}', "", AT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "line", "source", "at_ms"), WRAPPED, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(WRAPPED)]
)
def test_what_is_left_is_what_was_said(name: str, line: str, source: str, at_ms: int | None) -> None:
    """The text, the instance, and the platform's stamp."""
    (found,) = unwrap(Line("f", 1, line))

    assert (name, "SAID", source) == (found.format, found.text, found.source)
    assert at_ms == Clockwork(read_at_ms=AT + 86_400_000).at(found.own, found.platform)


@pytest.mark.parametrize(
    "text",
    ["INFO user: hello", "app-1 is ready", "a | b", "host without a colon", "voice server 2 started", "web to caller"],
)
def test_a_text_without_a_wrapper_stays_whole(text: str) -> None:
    """Taking a word for a container's name would lose it."""
    (found,) = unwrap(Line("f", 1, text))

    assert text.endswith(found.text) and ("|" in text or text == found.text)


def test_answers_of_an_api_hold_rows() -> None:
    """Insights gives rows as lists of fields, Loki as pairs."""
    insights = {
        "results": [[{"field": "@timestamp", "value": "2026-01-02 03:04:05.678"}, {"field": "@message", "value": "a"}]]
    }
    loki = {"data": {"result": [{"stream": {}, "values": [[f"{AT}000000", "b"]]}]}}

    assert ["a"] == [found.text for found in unwrap(Line("f", 1, json.dumps(insights)))]
    assert ["b"] == [found.text for found in unwrap(Line("f", 1, json.dumps(loki)))]
