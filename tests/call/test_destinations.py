"""Destinations that may be dialled."""

from __future__ import annotations

import pytest

from callpath.call.destinations import CARIBBEAN, Destinations, costly_number, parse_prefixes
from callpath.call.numbers import is_number
from callpath.errors import ConfigError

USUAL = ("+12125550123", "+14165550123", "+15555550155", "+17875550123", "+493012345678", "+447400123456")


@pytest.mark.parametrize("number", USUAL)
def test_usual_numbers_cost_nothing_unusual(number: str) -> None:
    """New York, Toronto, one of the simulator's, Puerto Rico, Berlin, a British mobile phone."""
    assert costly_number(number) is None
    assert Destinations().refusal(number) is None


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        ("+19005550123", "+1900"),
        ("+12129765555", "+1212976"),
        ("+18765550123", "+1876"),
        ("+18095550123", "+1809"),
        ("+870773111632", "+870"),
        ("+881612345678", "+881"),
        ("+88216123456", "+882"),
        ("+883510012345", "+883"),
        ("+979123456789", "+979"),
        ("+449011234567", "+4490"),
        ("+44901123456799", "+4490"),  # digits that are too many: a network may ignore them
        ("+447012345678", "+4470"),
        ("+499001234567", "+4990"),
        ("+33899123456", "+3389"),
        ("+39899123456", "+3989"),
    ],
)
def test_a_costly_number_needs_an_entry_of_its_own(number: str, prefix: str) -> None:
    """One call to a number of a fraudster pays him; a thousand in a night cost a month's turnover."""
    country = prefix[:2] if prefix.startswith("+1") else prefix[:3]

    assert Destinations().refusal(number) is not None
    assert Destinations((country, prefix[:-1])).refusal(number) is not None
    assert Destinations((prefix,)).refusal(number) is None
    assert Destinations((number[:-2],)).refusal(number) is None


def test_a_country_code_that_does_not_exist_is_refused() -> None:
    """Nobody is there, and some network may sell it."""
    assert "+999" in str(Destinations(("+9",)).refusal("+99912345678"))


def test_the_caribbean_is_behind_plus_one_and_is_not_listed_by_it() -> None:
    """`+1` looks like a call at home."""
    assert all(Destinations(("+1",)).refusal(f"+1{area}5550123") for area in CARIBBEAN)
    assert len(CARIBBEAN) == 21


def test_with_a_list_only_what_it_has_is_dialled() -> None:
    """And the refusal says no more of the number than its beginning."""
    listed = Destinations(("+1", "+4930"))
    refused = str(listed.refusal("+498912345678"))

    assert listed.refusal("+12125550123") is listed.refusal("+493012345678") is None
    assert "CALLPATH_DIAL_ALLOW" in refused
    assert "12345678" not in refused


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("sip:agent@pbx.example.com", True),
        ("sip:agent@PBX.example.com;transport=tls", True),
        ("sips:agent@pbx.example.com", True),
        ("sip:+18765550123@pbx.example.com", True),
        ("sip:agent@evil.example", False),
        ("sip:pbx.example.com@evil.example", False),
        ("sip:a@pbx.example.com@evil.example", False),
        ("sip:evil.example?pbx.example.com", False),
        ("tel:+18765550123", False),
    ],
)
def test_an_address_is_allowed_by_its_host(address: str, allowed: bool) -> None:
    """A gateway of somebody else dials on at our cost."""
    assert (Destinations(("+1", "sip:pbx.example.com")).refusal(address) is None) is allowed
    assert Destinations(("+1",)).refusal(address) is not None


@pytest.mark.parametrize(
    "text",
    [
        " +12125550123",
        "+12125550123 ",
        "+1 212 555 0123",
        "+1-212-555-0123",
        "+1(212)5550123",
        "12125550123",
        "0012125550123",
        "+02125550123",
        "++12125550123",
        "+١٢١٢٥٥٥٠١٢٣",
        "＋12125550123",
        "+1212555012\n3",
        "+12125550123\x00",
        "+12125550123,,1",
        "+12125550123;ext=1",
        "+1212555012345678",
        "tel:+12125550123",
        "sip:a b@host",
        "sip:ａ@host",
        "sip:",
        "",
    ],
)
def test_odd_spellings_are_no_number(text: str) -> None:
    """What two programs read differently passes the one and is dialled by the other."""
    assert not is_number(text)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("+1", ("+1",)),
        ("+1,+4930", ("+1", "+4930")),
        (" +1 , SIP:Pbx.Example.com ", ("+1", "sip:pbx.example.com")),
        ("", ()),
    ],
)
def test_a_list_is_read(text: str, entries: tuple[str, ...]) -> None:
    """As people write it."""
    assert parse_prefixes("CALLPATH_DIAL_ALLOW", text) == entries


@pytest.mark.parametrize("text", ["1", "+", "+0", "*", "+1,", "+1;+44", "+1 212", "US", "sip:", "sip:a@b", "+١"])
def test_a_list_that_is_wrong_is_told_at_start(text: str) -> None:
    """An entry that lists nothing, or everything, would be noticed by the bill."""
    with pytest.raises(ConfigError, match=r"CALLPATH_DIAL_ALLOW.*Right is"):
        parse_prefixes("CALLPATH_DIAL_ALLOW", text)
