"""The soak's figures, small: counts decide, times are only printed. `make soak` asks the same for an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import fuzz, measures
from tests.soak.figures import at_least, at_most, bad, percentile


@pytest.mark.soak
@pytest.mark.parametrize("name", measures.MEASURES)
async def test_each_figure(name: str, tmp_path: Path) -> None:
    """What the README promises is asked on every change; without that it would be a promise of last month."""
    figures = await measures.MEASURES[name](tmp_path, True)
    if not figures:
        pytest.skip("no Postgres on this machine (Debian: apt install postgresql)")

    assert bad(figures, short=True) == []


# --- the measure itself ----------------------------------------------------------------------------------------------


def test_a_broken_limit_is_seen() -> None:
    """A report that says ok of everything is none."""
    figures = [at_most("lost", 1, 0), at_least("done", 9, 10), at_most("p99_ms", 51, 50, is_time=True)]

    assert ["lost 1 <=0 FAIL", "done 9 >=10 FAIL", "p99_ms 51 <=50 FAIL"] == bad(figures, short=False)
    assert ["lost 1 <=0 FAIL", "done 9 >=10 FAIL"] == bad(figures, short=True)
    assert "p99_ms 2.5 <=50 ok" == str(at_most("p99_ms", 2.5, 50))
    assert (99, 0) == (percentile(list(range(100)), 0.99), percentile([], 0.99))


def test_a_verifier_that_believes_everything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzz must be able to fail."""
    monkeypatch.setattr(fuzz, "verify", lambda *_: None)
    accepted = {figure.name: figure.value for figure in fuzz.signatures(10)}

    assert accepted["signatures_accepted"] == 10


async def test_a_lost_webhook_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the store is asked past our own code, and compared with what was answered."""
    from tests.soak import traffic

    stored = traffic._stored
    monkeypatch.setattr(traffic, "_stored", lambda url: stored(url) - {"e1"})
    lost = {figure.name: figure.value for figure in await traffic.webhooks(tmp_path, 50, 0.2)}

    assert lost["webhooks_acknowledged_lost"] == 1
