"""The doctor's own machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The machine that the doctor itself runs on. `lag_ms_max`: how late it was woken at worst."""

    lag_ms_max: float
