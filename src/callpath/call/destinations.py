"""Destinations that may be dialled: an allow-list of prefixes, and numbers too costly to be dialled by accident. Pure.

    destinations = Destinations(parse_prefixes("CALLPATH_DIAL_ALLOW", "+1,+4930"))
    destinations.refusal("+18765550123")      # why it may not be dialled; None: it may

Toll fraud is a call to a number that pays whoever had it dialled. Such numbers are refused unless the allow-list has an
entry for them alone: `+1` does not list Jamaica (`+1876`), and `+44` does not list a British premium-rate number (`+449`
is too short, too: it takes two digits behind the country code).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType

from callpath.errors import ConfigError

EXAMPLE = "Right is a list of prefixes, for example +1,+4930, and sip:HOST for SIP addresses of a host"

INTERNATIONAL = {
    "808": "an international shared-cost number",
    "870": "a satellite phone (Inmarsat)",
    "878": "a universal personal number",
    "881": "a satellite phone (Iridium, Globalstar)",
    "882": "an international network, mostly satellite",
    "883": "an international network, mostly satellite",
    "888": "an international network",
    "979": "an international premium-rate number",
}
"""Country codes of no country. Source: ITU-T E.164 list of assigned country codes, 2016-11-15, and its amendments."""

CARIBBEAN = frozenset(
    "242 246 264 268 284 345 441 473 649 658 664 721 758 767 784 809 829 849 868 869 876".split()  # noqa: SIM905
)
"""Area codes behind +1 that belong neither to the United States, with their territories, nor to Canada: international
calls at international prices. Source: NANPA, area codes in service, 2026-11."""

COSTLY_TYPES = {
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, at whatever price its owner set",
}

NATIONAL_DIGITS_MIN = 2
"""How many digits behind the country code an entry needs, to list costly numbers of a country."""

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_SIP_HOST = re.compile(r"sip:[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_SIP = re.compile(r"sips?:(?:[^@]*@)?(?P<host>[^@;?>]+)(?:[;?].*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Costly:
    """Why a number costs much, and the shortest prefix that lists it on purpose."""

    why: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Destinations:
    """What may be dialled. Without an allow-list everything may that costs no more than usual."""

    allowed: tuple[str, ...] = ()

    def refusal(self, to: str) -> str | None:
        """Why `to`, a number in E.164 or a SIP address, may not be dialled; None: it may. It stands in no message."""
        if not to.startswith("+"):
            return self._refusal_of_address(to)
        costly = costly_number(to)
        fitting = [prefix for prefix in self.allowed if to.startswith(prefix)]
        if costly is None:
            if self.allowed and not fitting:
                return f"CALLPATH_DIAL_ALLOW has no prefix for this number ({shown_prefix(to)}…)"
            return None
        if any(len(prefix) >= len(costly.prefix) for prefix in fitting):
            return None
        return f"it is {costly.why}: such calls are dialled only where CALLPATH_DIAL_ALLOW lists {costly.prefix}"

    def _refusal_of_address(self, to: str) -> str | None:
        if not self.allowed:
            return None
        found = _SIP.fullmatch(to)
        host = f"sip:{found['host'].casefold()}" if found is not None else ""
        if host in self.allowed:
            return None
        return "CALLPATH_DIAL_ALLOW does not list the host of this SIP address, as sip:HOST"


def parse_prefixes(setting: str, text: str) -> tuple[str, ...]:
    """The entries of an allow-list, separated by commas. Raises ConfigError."""
    if not text.strip():
        return ()
    entries = tuple(entry.strip().casefold() for entry in text.split(","))
    for entry in entries:
        if not (_PREFIX.fullmatch(entry) or _SIP_HOST.fullmatch(entry)):
            raise ConfigError(setting, f"has the entry {entry!r}, which is no prefix", EXAMPLE)
    return entries


def costly_number(number: str) -> Costly | None:
    """Why a number in E.164 costs more than a usual call; None: it does not, as far as is known."""
    digits = number[1:]
    for code, why in INTERNATIONAL.items():
        if digits.startswith(code):
            return Costly(why, f"+{code}")
    if digits.startswith("1"):
        area, exchange = digits[1:4], digits[4:7]
        if area == "900":
            return Costly("a premium-rate number", "+1900")
        if exchange == "976":
            return Costly("a premium-rate number", f"+1{area}976")
        if area in CARIBBEAN:
            return Costly("in the Caribbean or Bermuda, an international call", f"+1{area}")
        return None
    return _costly_by_plan(number)


def _costly_by_plan(number: str) -> Costly | None:
    """What the country's numbering plan says. A network may ignore digits that are too many, so each beginning of a number
    that is not valid as a whole counts."""
    for length in range(len(number), 7, -1):
        try:
            parsed = phonenumbers.parse(number[:length])
        except NumberParseException:
            return Costly("under a country code that does not exist", number[:4])
        why = COSTLY_TYPES.get(phonenumbers.number_type(parsed))
        if why is not None:
            national = 1 + len(str(parsed.country_code)) + NATIONAL_DIGITS_MIN
            return Costly(why, number[:national])
        if phonenumbers.is_valid_number(parsed):
            return None
    return None


def shown_prefix(number: str) -> str:
    """As much of a number as may stand in a log: its country code, or three digits."""
    return number[:4] if not number.startswith("+1") else number[:5]
