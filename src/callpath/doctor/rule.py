"""What a rule is: evidence in, at most one finding out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from callpath.doctor.facts import Facts

Owner = Literal["you", "network", "platform", "Telnyx", "far end", "callpath", "unclear"]
Confidence = Literal["high", "medium", "low"]
Kind = Literal["fault", "limited", "open", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says.

    `kind` fault: this is the cause. limited: this is what happened, but it may be right for what was asked (a made-
    up call), and `question` says what would decide. open: something is wrong, and the evidence fits `candidates`
    equally (or none that is known); `question` says what would decide it. note: worth knowing, nothing is broken.
    `fix` and `owner` replace the rule's own where the facts allow a better word; `variant` names a finer title.
    """

    summary: str
    evidence: tuple[str, ...] = ()
    confidence: Confidence = "high"
    kind: Kind = "fault"
    candidates: tuple[str, ...] = ()
    question: str = ""
    fix: str = ""
    owner: Owner | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """Facts as a literal. `fires` None: the rule must say that it could not check."""

    title: str
    facts: Facts
    fires: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One cause. `code` is permanent: never reused, never renumbered; `slug` is the cause's name.

    `masked_by` are codes: where one of them fired too, this finding is its symptom and is folded under it.
    `fixes` maps a platform or framework (as platform.py names it) to its own words.
    """

    code: str
    slug: str
    title: str
    layer: str
    owner: Owner
    why: str
    fix: str
    check: Callable[[Facts], Finding | None]
    masked_by: tuple[str, ...] = ()
    by_time: bool = False
    """What it sees is only a time, which a busy machine of the doctor's own can bring about, too."""
    fixes: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
