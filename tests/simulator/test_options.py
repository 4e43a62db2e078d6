"""The defaults of the account are the documented or believed ones."""

from __future__ import annotations

from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import RETRIES_MAX, RETRIES_MS_MAX


def test_webhook_defaults_stay_within_the_documented_bounds() -> None:
    """A simulator that is more patient than Telnyx hides slow servers."""
    options = CarrierOptions()

    assert 2_000 == options.webhook_ms_max
    assert len(options.webhook_retry_ms) <= RETRIES_MAX
    assert sum(options.webhook_retry_ms) + options.webhook_ms_max * 6 <= RETRIES_MS_MAX


def test_the_default_account_is_the_strict_one() -> None:
    """What Telnyx refuses or leaves silent must not work here by default."""
    options = CarrierOptions()

    assert (False, False, False) == (options.any_connection_id, options.opposite_plays, options.webhook_retries_4xx)
