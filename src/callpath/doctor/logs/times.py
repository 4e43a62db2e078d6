"""The time of a line: every way of writing one, and which of two times on a line counts.

A platform stamps a line when it takes it in, which may be seconds after it was written. A time in the line wins over the
stamp, where both can be true; lines between two such are put where they were written, not where they were taken in.
What a format leaves out (the year, the date, the zone) is kept as left out, and `Clockwork` fills it in from the lines
around it.
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
"""Stamps this near to each other belong to lines of one delivery."""

SKEW_MS_MIN = 1_000
"""A smaller difference between the two times of a line is not reported."""

DAY_MS = 86_400_000
HALF_YEAR_MS = 183 * DAY_MS
LEAP_YEAR = 2000
"""Stands for the year of a time that names none: every day of the calendar exists in it."""

_MONTHS = {
    name: at
    for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_ZONES_MIN = {
    "Z": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120,
    "EET": 120, "EEST": 180, "MSK": 180, "IST": 330, "SGT": 480, "AWST": 480, "JST": 540, "KST": 540, "AEST": 600,
    "AEDT": 660, "NZST": 720, "NZDT": 780, "BRT": -180, "ART": -180, "AST": -240, "EDT": -240, "EST": -300, "CDT": -300,
    "CST": -360, "MDT": -360, "MST": -420, "PDT": -420, "PST": -480, "AKST": -540, "HST": -600,
}  # fmt: skip
"""Zones by their short name. IST, CST and BST have several meanings; the commonest in logs is taken."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time as read. `zoned` False: nothing said which zone; `dated` False: only a time of day; `yeared` False: the year
    is missing (LEAP_YEAR stands in); `other_ms`: the same digits with day and month exchanged, where both can be true;
    `day_first`: a slashed date in which only the first number can be the day."""

    unix_ms: int
    zoned: bool = True
    dated: bool = True
    yeared: bool = True
    other_ms: int | None = None
    day_first: bool = False

    @property
    def whole_seconds(self) -> bool:
        return self.unix_ms % 1000 == 0


@dataclass(slots=True)
class Clockwork:
    """Decides the times of the lines of one source, in their order. `read_at_ms`: no line is from after it."""

    skew_ms_max: int = 0
    late: int = 0
    """Lines that the platform stamped more than a second after they were written."""

    undated: bool = False
    unzoned: bool = False
    ambiguous: bool = False
    """Dates like 03/04/2026 were read as month/day, and nothing in the file says which it is."""

    day_ms: int = 0
    read_at_ms: int | None = None
    _own_ms: int | None = None
    _stamp_ms: int | None = None
    _day_first: bool = False
    _zone_ms: dict[str, int] = field(default_factory=dict)

    def at(self, own: Stamp | None, platform: Stamp | None) -> int | None:
        """When the line was written, in Unix ms; None where nothing says."""
        if own is None and platform is not None and not platform.dated:
            own, platform = platform, None  # a time of day is still a time
        stamp_ms = self._whole(platform) if platform is not None and platform.dated else None
        if own is not None:
            at_ms = self._own_time(own, stamp_ms)
            if stamp_ms is None or -EARLY_MS_MAX <= stamp_ms - at_ms <= LATE_MS_MAX:
                if stamp_ms is not None:
                    if own.whole_seconds and 0 <= stamp_ms - at_ms < 1_000:
                        at_ms = stamp_ms  # the same second, told more exactly
                    if stamp_ms - at_ms >= SKEW_MS_MIN:
                        self.late += 1
                        self.skew_ms_max = max(self.skew_ms_max, stamp_ms - at_ms)
                    self._stamp_ms, self._own_ms = stamp_ms, at_ms
                elif own.dated:
                    self._stamp_ms, self._own_ms = None, at_ms
                return at_ms
        if stamp_ms is None:
            return None
        if self._own_ms is not None and self._stamp_ms is not None and 0 <= stamp_ms - self._stamp_ms <= BURST_MS:
            return min(stamp_ms, self._own_ms + stamp_ms - self._stamp_ms)
        return stamp_ms

    def _whole(self, stamp: Stamp, near_ms: int | None = None) -> int:
        """The stamp with its year, and with day and month in the order that this source uses."""
        at_ms = stamp.unix_ms
        if not stamp.zoned and near_ms is None:
            self.unzoned = True
        if stamp.other_ms is not None:
            at_ms = stamp.other_ms if self._prefers_day_first(stamp, near_ms) else at_ms
        self._day_first = self._day_first or stamp.day_first
        if stamp.yeared:
            return at_ms
        near_ms = near_ms if near_ms is not None else self._own_ms if self._own_ms is not None else self._stamp_ms
        latest_ms = self.read_at_ms + DAY_MS if self.read_at_ms is not None else None
        if near_ms is not None:
            return min(
                (_in_year(at_ms, _year(near_ms) + more) for more in (-1, 0, 1)), key=lambda ms: abs(ms - near_ms)
            )
        if latest_ms is None:
            return at_ms
        return max(
            (ms for more in (-1, 0, 1) if (ms := _in_year(at_ms, _year(latest_ms) + more)) <= latest_ms), default=at_ms
        )

    def _prefers_day_first(self, stamp: Stamp, near_ms: int | None) -> bool:
        assert stamp.other_ms is not None
        if self._day_first:
            return True
        near_ms = near_ms if near_ms is not None else self._own_ms
        if near_ms is not None:
            nearer = abs(stamp.other_ms - near_ms) < abs(stamp.unix_ms - near_ms)
            self._day_first = nearer
            return nearer
        self.ambiguous = True
        return False

    def _own_time(self, own: Stamp, stamp_ms: int | None) -> int:
        at_ms = own.unix_ms
        if not own.dated:
            day_ms = stamp_ms - stamp_ms % DAY_MS if stamp_ms is not None else self.day_ms
            at_ms = day_ms + at_ms
            if stamp_ms is None:
                self.undated = True
                if self._own_ms is not None and at_ms < self._own_ms - DAY_MS // 2:
                    self.day_ms += DAY_MS  # past midnight
                    at_ms += DAY_MS
                self._own_ms = at_ms
            elif at_ms > stamp_ms + DAY_MS // 2:
                at_ms -= DAY_MS
        else:
            at_ms = self._whole(own, stamp_ms)
        if not own.zoned:
            if stamp_ms is None:
                self.unzoned = True
            else:
                off = round((at_ms - stamp_ms) / ZONE_STEP_MS) * ZONE_STEP_MS
                if off and abs(off) <= 14 * 3_600_000 and abs(at_ms - off - stamp_ms) <= 120_000:
                    at_ms -= off  # the line is in local time
        return at_ms


def _year(unix_ms: int) -> int:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).year


def _in_year(unix_ms: int, year: int) -> int:
    """A time of LEAP_YEAR in another one; 29 February of a common year is 1 March."""
    at = datetime.fromtimestamp(unix_ms / 1000, UTC)
    try:
        return _unix_ms(at.replace(year=year))
    except ValueError:
        return _unix_ms(at.replace(year=year, month=3, day=1))


# --- reading ---------------------------------------------------------------------------------------------------------

_NAMES = "|".join(sorted(_ZONES_MIN, key=len, reverse=True))
_ZONE = rf"(?P<zone> ?(?:[+-]\d\d(?::?\d\d)?(?![\d:])|(?:UTC|GMT)[+-]\d{{1,2}}(?::?\d\d)?|(?:{_NAMES})\b))?"
_ISO = r"(?P<iso>\d{4}[-/]\d\d[-/]\d\d[T ]{1,2}\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
_CLF = r"(?P<clf>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{1,6})?(?: [+-]\d{4})?)"
_SYSLOG = (
    r"(?P<syslog>(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?[A-Z][a-z]{2} {1,2}\d{1,2},? (?:\d{4},? )?"
    r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[AP]M)?(?: \d{4}\b)?)"
)
_RFC822 = r"(?P<rfc822>(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d)"
_CLOCK = r"(?P<clock>\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)(?: ?(?P<noon>[AP]M))?"
_SLASHED = r"(?P<slashed>\d{1,2}/\d{1,2}/\d{4},? {1,2}\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?[AP]M)?)"
_DOTTED = r"(?P<dotted>\d{1,2}\.\d{1,2}\.\d{4},? {1,2}\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?)"
_GLOG = r"(?:[IWEF](?P<glog>\d{4} \d\d:\d\d:\d\d\.\d{6}))"
_EPOCH = r"(?P<epoch>1[5-9]\d{8}(?:\d{3}|\.\d{1,9})?)(?![\d-])"
LEADING = re.compile(
    rf"[\[(<]?(?:{_ISO}{_ZONE}|{_CLF}|{_SYSLOG}|{_RFC822}(?P<zone2> ?(?:[+-]\d{{4}}|{_NAMES}))?|{_SLASHED}|{_DOTTED}|"
    rf"{_GLOG}"
    rf"|{_CLOCK}|{_EPOCH})[\])>]?[ \t|:,-]*"
)
"""A time at the head of a line, and what parts it from the rest."""

WHOLE = re.compile(
    rf"(?:{_ISO}{_ZONE}|{_CLF}|{_SYSLOG}|{_RFC822}(?P<zone2> ?(?:[+-]\d{{4}}|{_NAMES}))?|{_SLASHED}|{_DOTTED}"
    rf"|{_CLOCK}|{_EPOCH})$"
)
_STARTS = frozenset("0123456789[(<JFMASONDTWIE")
"""What the text of a time can begin with."""


def leading_time(text: str) -> tuple[Stamp, str] | None:
    """The time that `text` begins with, and the text behind it."""
    if not text or text[0] not in _STARTS:
        return None
    found = LEADING.match(text)
    if found is None:
        return None
    stamp = _safely(_of_match, found)
    return (stamp, text[found.end() :]) if stamp is not None else None


def read_time(value: object) -> Stamp | None:
    """A time that stands alone: ISO 8601 and its relatives, or seconds, ms, µs, ns since 1970."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _safely(_of_number, value)
    if not isinstance(value, str) or not 8 <= len(value) <= 48:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{10,19}(\.\d+)?", value):
        return _safely(_of_number, float(value))
    found = WHOLE.match(value)
    return _safely(_of_match, found) if found is not None else None


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
    if text := found["iso"]:
        return _iso(text, found["zone"])
    if text := found["clf"]:
        zoned = text[-5] in "+-"
        at = datetime.strptime(text[:20], "%d/%b/%Y:%H:%M:%S").replace(tzinfo=_offset(text[-5:]) if zoned else UTC)
        fraction = text[20:].partition(".")[2].partition(" ")[0]
        return Stamp(_unix_ms(at) + int((fraction + "000")[:3]), zoned=zoned)
    if text := found["syslog"]:
        return _syslog(text)
    if text := found["rfc822"]:
        zone = (found["zone2"] or "").strip()
        date = datetime.strptime(text.partition(", ")[2] or text, "%d %b %Y %H:%M:%S").replace(tzinfo=_offset(zone))
        return Stamp(_unix_ms(date), zoned=bool(zone))
    if text := found["slashed"]:
        return _slashed(text)
    if text := found["dotted"]:
        date_text, _, clock = text.replace(",", " ", 1).partition(" ")
        day, month, year = (int(part) for part in date_text.split("."))
        return Stamp(_unix_ms(datetime(year, month, day, tzinfo=UTC)) + _of_day(clock.strip(), ""), zoned=False)
    if "glog" in found.re.groupindex and (text := found["glog"]):
        date = datetime(LEAP_YEAR, int(text[:2]), int(text[2:4]), tzinfo=UTC)
        return Stamp(_unix_ms(date) + _of_day(text[5:], ""), zoned=False, yeared=False)
    if text := found["clock"]:
        return Stamp(_of_day(text, found["noon"] or ""), zoned=False, dated=False)
    return _of_number(float(found["epoch"]))


def _syslog(text: str) -> Stamp:
    """Month and day by name: `Jan  2 03:04:05`, `Jan 2, 2026 3:04:05 PM`, `Fri Jan  2 03:04:05 2026`."""
    parts = text.replace(", ", " ").split()
    if parts[0].rstrip(",")[:3].lower() not in _MONTHS:
        parts.pop(0)
    month, day, *rest = parts
    year = next((int(part) for part in rest if len(part) == 4 and part.isdigit()), 0)
    clock = next((part for part in rest if ":" in part), "")
    if not clock:
        raise ValueError("a date without a time of day")
    of_day = _of_day(clock[:-2] if clock[-1] == "M" else clock, text[-2:])
    date = datetime(year or LEAP_YEAR, _MONTHS[month.lower()], int(day), tzinfo=UTC)
    return Stamp(_unix_ms(date) + of_day, zoned=False, yeared=bool(year))


def _slashed(text: str) -> Stamp:
    """03/04/2026: month first, unless that cannot be."""
    date_text, _, clock = text.replace(",", "", 1).partition(" ")
    first, second, year = (int(part) for part in date_text.split("/"))
    of_day = _of_day(clock.strip().rstrip("APM "), clock[-2:])

    def at(month: int, day: int) -> int:
        return _unix_ms(datetime(year, month, day, tzinfo=UTC)) + of_day

    if first > 12:
        return Stamp(at(second, first), zoned=False, day_first=True)
    both = second <= 12 and first != second
    return Stamp(at(first, second), zoned=False, other_ms=at(second, first) if both else None)


def _iso(text: str, zone: str | None) -> Stamp:
    fraction = text[19:].lstrip()  # of the usual form; two blanks after the date shift it
    if text[4] == "/" or (len(text) > 19 and text[11] == " "):
        text = text.replace("/", "-").replace("  ", " ")
        fraction = text[19:]
    at = datetime.fromisoformat(text[:19])
    ms = int((fraction[1:] + "000")[:3]) if fraction else 0
    zone = zone.strip() if zone else ""
    if not zone or zone == "Z":
        return Stamp(_unix_ms(at.replace(tzinfo=UTC)) + ms, zoned=bool(zone))
    return Stamp(_unix_ms(at.replace(tzinfo=_offset(zone))) + ms)


def _offset(zone: str) -> timezone:
    """`+01:00`, `-0500`, `-05`, `CET`, `GMT+2`."""
    if not zone:
        return UTC
    if zone in _ZONES_MIN:
        return timezone(timedelta(minutes=_ZONES_MIN[zone]))
    digits = zone.removeprefix("UTC").removeprefix("GMT").replace(":", "")
    sign, number = digits[0], digits[1:]
    hours, minutes = (number[:-2], number[-2:]) if len(number) > 2 else (number, "0")
    total = int(hours) * 60 + int(minutes)
    return timezone(timedelta(minutes=-total if sign == "-" else total))


def _of_day(clock: str, noon: str) -> int:
    clock, _, fraction = clock.replace(",", ".").strip().split(" ")[0].partition(".")
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
