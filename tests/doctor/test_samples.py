"""The sample report on each cause's page."""

from __future__ import annotations

import pytest

from callpath.doctor.report import explained, explained_plain
from callpath.doctor.rule import Cause
from callpath.doctor.rules import CAUSES, known
from callpath.doctor.samples import sample_report


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_the_page_shows_a_report_that_names_the_cause(cause: Cause) -> None:
    """Who searches for what stands on his screen must find it on the page, word for word."""
    sample = sample_report(cause)
    page = explained(cause, sample=sample)

    assert bool(sample) is (cause.code not in WITHOUT_A_REPORT)
    assert cause.code in sample or not sample
    assert sample in page
    assert ("## A sample report" in page) is bool(sample)


WITHOUT_A_REPORT = {"MEDIA004", "CALL067", "CALL068", "CALL099", "UNKNOWN001", "UNKNOWN004"}
"""Notes beside another verdict, and what is only said where no other cause is."""


def test_a_sample_is_as_wide_as_asked() -> None:
    """In `doctor explain` it stands indented, on the terminal of whoever asks."""
    (cause,) = known("TLS005")
    page = explained_plain(cause, width=72, sample=sample_report(cause, 70))

    assert "A sample report\n  error[TLS005]: voice.example.com:" in page
    assert max(len(line) for line in page.splitlines()) <= 72
