"""The reasons of refused dials and transfers, by code."""

import pytest

from callpath.call.refused import REFUSALS, d_code_in, explain_refusal

# Telnyx, SIP response codes (telnyx/call-control.md section 5, read 2026-11-30): every code that it lists.
LISTED = [
    "D1", "D2", "D3", "D4", "D5", "D7", "D8", "D9", "D10", "D11", "D12", "D13", "D14", "D15", "D16", "D17", "D18",
    "D19", "D21", "D22", "D24", "D25", "D26", "D29", "D30", "D31", "D34", "D35", "D36", "D37", "D38", "D39", "D40",
    "D41", "D42", "D44", "D46", "D48", "D49", "D50", "D51", "D52", "D53", "D54", "D56", "D57", "D58", "D59", "D60",
    "D61", "D63", "D64", "D65", "PE1", "PE2", "PE3", "PE4", "PE5", "PE6", "TV1", "TM1", "P05", "P15", "RG1", "B3",
]  # fmt: skip


@pytest.mark.parametrize("code", LISTED)
def test_every_listed_code_is_explained(code: str) -> None:
    """A code alone tells a user nothing."""
    refusal = explain_refusal(code)

    assert refusal is not None
    assert refusal.code == code
    assert refusal.title[0].islower() or refusal.title.startswith(("HD", "Telnyx"))
    assert refusal.fix.rstrip()[-1] in ".)", refusal.fix


def test_most_fixes_name_something_to_type() -> None:
    """Two of three have a command, a setting or a line of code."""
    typed = [one for one in REFUSALS.values() if any(sign in one.fix for sign in ("callpath ", "curl", "="))]

    assert len(typed) * 3 >= len(REFUSALS) * 2, [one.code for one in REFUSALS.values() if one not in typed]


@pytest.mark.parametrize(
    ("code", "detail", "expected"),
    [
        ("10010", "Unverified origination number D51. Read more", "D51"),
        ("10010", "Dialed number is not whitelisted D13", "D13"),
        ("10010", "not allowed", "10010"),
        (None, "User channel limit exceeded D1", "D1"),
        ("d17", None, "D17"),
        ("20100", "", "20100"),
        ("99999", "Something new D99", None),
        (None, None, None),
    ],
)
def test_the_d_code_in_the_text_is_the_finer_word(code: str | None, detail: str | None, expected: str | None) -> None:
    """All of them come as 10010."""
    refusal = explain_refusal(code, detail)

    assert (refusal.code if refusal else None) == expected


def test_the_last_code_of_a_text_counts() -> None:
    """It ends the refusal's text."""
    assert d_code_in("D11 was tried; User channel limit exceeded D1") == "D1"
    assert d_code_in("PD17X") is None
