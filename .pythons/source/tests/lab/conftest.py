"""The lab's markers: `-m lab` runs all cases, `-m "lab and not lab_more"` one a cause and all the healthy ones."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: runs the doctor against real software; see tests/lab/README.md")
    config.addinivalue_line("markers", "lab_more: a further case of a cause that another case shows already")
