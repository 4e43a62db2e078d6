"""The time of a line: what stands in it, against the platform's stamp on it.

A platform stamps a line when it takes it in, which may be seconds after it was written. A time in the line wins over the
stamp, where both can be true; lines between two such are put where they were written, not where they were taken in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

ZONE_STEP_MS = 15 * 60_000
LATE_MS_MAX = 60 * 60_000
EARLY_MS_MAX = 5_000
BURST_MS = 2_000
"""Stamps so near to each other were given to lines of one delivery."""

SKEW_MS_MIN = 1_000
"""A smaller difference is nothing to speak of."""

_MONTHS = {
    name: at
    for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time as read. `zoned` False: nothing said which zone; `dated` False: only a time of day."""

    unix_ms: int
    zoned: bool = True
    dated: bool = True


@dataclass(slots=True)
class Clockwork:
    """Decides the times of the lines of one source, in their order."""

    skew_ms_max: int = 0
    late: int = 0
    """Lines that the platform stamped more than a second after they were written."""

    undated: bool = False
    unzoned: bool = False
    day_ms: int = 0
    _own_ms: int | None = None
    _stamp_ms: int | None = None
    _zone_ms: dict[str, int] = field(default_factory=dict)

    def at(self, own: Stamp | None, platform: Stamp | None) -> int | None:
        """When the line was written, in Unix ms; None where nothing says."""
        if own is None and platform is not None and not platform.dated:
            own, platform = platform, None  # syslog's stamp has no year: a time of day is still a time
        stamp_ms = platform.unix_ms if platform is not None and platform.dated else None
        if own is not None:
            at_ms = self._own_time(own, stamp_ms)
            if stamp_ms is None or -EARLY_MS_MAX <= stamp_ms - at_ms <= LATE_MS_MAX:
                if stamp_ms is not None:
                    if stamp_ms - at_ms >= SKEW_MS_MIN:
                        self.late += 1
                        self.skew_ms_max = max(self.skew_ms_max, stamp_ms - at_ms)
                    self._stamp_ms, self._own_ms = stamp_ms, at_ms
                return at_ms
        if stamp_ms is None:
            return None
        if self._own_ms is not None and self._stamp_ms is not None and 0 <= stamp_ms - self._stamp_ms <= BURST_MS:
            return min(stamp_ms, self._own_ms + stamp_ms - self._stamp_ms)
        return stamp_ms

    def _own_time(self, own: Stamp, stamp_ms: int | None) -> int:
        at_ms = own.unix_ms
        if not own.dated:
            day_ms = stamp_ms - stamp_ms % 86_400_000 if stamp_ms is not None else self.day_ms
            at_ms = day_ms + at_ms
            if stamp_ms is None:
                self.undated = True
                if self._own_ms is not None and at_ms < self._own_ms - 43_200_000:
                    self.day_ms += 86_400_000  # past midnight
                    at_ms += 86_400_000
                self._own_ms = at_ms
            elif at_ms > stamp_ms + 43_200_000:
                at_ms -= 86_400_000
        if not own.zoned:
            if stamp_ms is None:
                self.unzoned = True
            else:
                off = round((at_ms - stamp_ms) / ZONE_STEP_MS) * ZONE_STEP_MS
                if off and abs(off) <= 14 * 3_600_000 and abs(at_ms - off - stamp_ms) <= 120_000:
                    at_ms -= off  # the line is in local time
        return at_ms


# --- reading ---------------------------------------------------------------------------------------------------------

_ISO = r"(?P<iso>\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d))?"
_CLF = r"(?P<clf>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})"
_SYSLOG = r"(?P<syslog>[A-Z][a-z]{2} [ \d]\d,? (?:\d{4},? )?\d\d:\d\d:\d\d(?:\.\d{1,9})?(?: ?[AP]M)?)"
_CLOCK = r"(?P<clock>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(?: ?(?P<noon>[AP]M))?"
_SLASHED = r"(?P<slashed>\d{1,2}/\d{1,2}/\d{4},? \d{1,2}:\d\d:\d\d(?: ?[AP]M)?)"
_EPOCH = r"(?P<epoch>1[5-9]\d{8}(?:\d{3}|\.\d{1,6})?)(?!\d)"
LEADING = re.compile(rf"[\[(<]?(?:{_ISO}|{_CLF}|{_SYSLOG}|{_SLASHED}|{_CLOCK}|{_EPOCH})[\])>]?[ \t|:,-]*")
"""A time at the head of a line, and what parts it from the rest."""

_WHOLE = re.compile(_ISO + r"$")


def leading_time(text: str) -> tuple[Stamp, str] | None:
    """The time that `text` begins with, and the text behind it."""
    found = LEADING.match(text)
    if found is None:
        return None
    stamp = _safely(_of_match, found)
    return (stamp, text[found.end() :]) if stamp is not None else None


def read_time(value: object) -> Stamp | None:
    """A time that stands alone: ISO 8601, or seconds, ms, µs, ns since 1970."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _safely(_of_number, value)
    if not isinstance(value, str) or len(value) > 40:
        return None
    found = _WHOLE.match(value.strip())
    if found is not None:
        return _safely(_of_match, found)
    if re.fullmatch(r"\d{10,19}(\.\d+)?", value):
        return _safely(_of_number, float(value))
    return None


def _safely(read: Callable[..., Stamp | None], given: object) -> Stamp | None:
    try:
        return read(given)
    except (ValueError, OverflowError, KeyError):
        return None


def _of_number(value: float) -> Stamp | None:
    for unit in (1e9, 1e6, 1e3, 1.0):
        if 1.4e9 <= value / unit < 4.2e9:
            return Stamp(round(value / unit * 1000))
    return None


def _of_match(found: re.Match[str]) -> Stamp | None:
    parts = found.groupdict()
    if parts["iso"]:
        return _iso(parts["iso"], parts["zone"])
    if parts["clf"]:
        return Stamp(_unix_ms(datetime.strptime(parts["clf"], "%d/%b/%Y:%H:%M:%S %z")))
    if parts["syslog"]:
        month, day, *rest = parts["syslog"].replace(",", "").split()
        year = next((int(part) for part in rest if len(part) == 4 and part.isdigit()), 0)
        clock = next(part for part in rest if ":" in part)
        of_day = _of_day(clock, parts["syslog"][-2:])
        if not year:
            return Stamp(of_day, zoned=False, dated=False)
        date = datetime(year, _MONTHS[month.lower()], int(day), tzinfo=UTC)
        return Stamp(_unix_ms(date) + of_day, zoned=False)
    if parts["slashed"]:
        date_text, _, clock = parts["slashed"].replace(",", "").partition(" ")
        first, second, year = (int(part) for part in date_text.split("/"))
        month_number, day_number = (second, first) if first > 12 else (first, second)
        date = datetime(year, month_number, day_number, tzinfo=UTC)
        return Stamp(_unix_ms(date) + _of_day(clock[:8].strip(), clock[-2:]), zoned=False)
    if parts["clock"]:
        return Stamp(_of_day(parts["clock"], parts["noon"] or ""), zoned=False, dated=False)
    return _of_number(float(parts["epoch"]))


def _iso(text: str, zone: str | None) -> Stamp:
    text = text.replace("/", "-").replace(" ", "T").replace(",", ".")
    whole, _, fraction = text.partition(".")
    at = datetime.fromisoformat(whole)
    zone = (zone or "").strip()
    offset: timezone = UTC
    if zone and zone not in {"Z", "UTC"}:
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        offset = timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
    ms = _unix_ms(at.replace(tzinfo=offset)) + int((fraction + "000")[:3])
    return Stamp(ms, zoned=bool(zone))


def _of_day(clock: str, noon: str) -> int:
    clock, _, fraction = clock.replace(",", ".").split(" ")[0].partition(".")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError(clock)
    if noon.upper() == "PM" and hours < 12:
        hours += 12
    elif noon.upper() == "AM" and hours == 12:
        hours = 0
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((fraction + "000")[:3])


def _unix_ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
