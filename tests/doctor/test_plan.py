"""What --plan says must be what is sent."""

from __future__ import annotations

import pytest

from callpath.clock import SystemClock
from callpath.doctor import examination
from callpath.doctor.facts import UpgradeFacts
from callpath.doctor.plan import plan_text
from callpath.doctor.request import Request
from tests.doctor.answering import saying, serving


@pytest.mark.parametrize(("status", "title"), [(404, "404"), (403, "401 or 403"), (502, "502, 503 or 504")])
async def test_what_is_sent_was_planned(status: int, title: str) -> None:
    """Who asks first whether a probe is harmless must get the whole answer."""
    async with serving(saying(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)) as port:
        request = Request(url=f"ws://127.0.0.1:{port}/media", local=True, timeout_ms=500)
        seen = await examination.gather(request, SystemClock())

    line = next(line for line in plan_text(request).splitlines() if line.startswith(f"  after {title}:"))
    sent = [shape for shape in seen.facts[UpgradeFacts].shapes if shape.shape != "again"]
    assert sent
    assert [shape.target for shape in sent if shape.target not in line] == []
    assert [shape.shape for shape in sent if shape.target == "/media" and shape.shape not in (line + "plain")] == []


def test_the_plan_names_other_hosts() -> None:
    """A probe that asks third parties must say so."""
    public = plan_text(Request(url="wss://voice.example.com/media"))

    assert "api.telnyx.com:443" in public
    assert "1.1.1.1 and 9.9.9.9" in public
    assert "No other host is asked." in plan_text(Request(url="wss://voice.example.com/media", local=True))
