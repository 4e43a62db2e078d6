"""What a finding is when a rule says nothing more."""

from __future__ import annotations

from callpath.doctor.rule import Finding


def test_a_finding_is_a_fault_unless_it_says_otherwise() -> None:
    """Notes and open questions are said on purpose."""
    finding = Finding("port 443 refuses")

    assert (finding.kind, finding.confidence, finding.candidates) == ("fault", "high", ())
