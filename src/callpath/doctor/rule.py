"""A cause, the signs it is recognised by, and what a sign may say.

Cause   one thing that breaks calls: its code, title, owner, why and fix; one file in rules/
Sign    one way to recognise it, from one source: a live probe, a past call, an edge log, the account, files
Rule    a sign with its cause's words filled in: what the engine runs
Finding what a sign says when it fires
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from callpath.doctor.facts import Facts

Owner = Literal["you", "network", "platform", "Telnyx", "far end", "callpath", "unclear"]
Confidence = Literal["high", "medium", "low"]
Kind = Literal["fault", "outcome", "limited", "open", "note"]
SignSource = Literal["url", "call", "edge", "account", "files"]


class Seen(str):
    """A line of evidence that is an observation. `of` names what was looked at: a request, a handshake, an address, a
    resolver, the end of a stream. Lines of one origin are one observation; `times` is how often it was made where the
    line sums up several, as of all messages of a stream. A plain text beside it explains, and counts for nothing."""

    of: str
    times: int

    def __new__(cls, text: str, of: str, times: int = 1) -> Seen:
        self = super().__new__(cls, text)
        self.of, self.times = of, times
        return self


IN_THE_URL = "it stands in the URL itself"
OWN_WORD = "a callpath server gives the reason itself"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a sign says.

    `kind` fault: this is the cause. outcome: this is how the call ended, and nothing failed (the line was busy). limited:
    this is what happened, but it may be right for what was asked (a made-up call), and `question` says what would decide.
    open: something is wrong, and the evidence fits `candidates` equally (or none that is known); `question` says what
    would decide it. note: worth knowing, nothing is broken.
    `fix`, `owner` and `title` replace the rule's own where the facts allow a better word.
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
    certain: str = ""
    """Why one look is enough for "high": what is judged was read itself, and is not told by its effect."""
    observed: tuple[str, ...] = ()
    """The observations that do not depend on each other, by name: the engine fills it in from `evidence`, from further
    tries and from the control."""
    observations: int = 0
    """Their number. `confidence` is the most that a sign may claim: with fewer than two the engine lowers "high" to
    "medium"."""


@dataclass(frozen=True, slots=True)
class Example:
    """Facts as a literal. `fires` None: the sign must say that it could not check. `winner` is the slug of the verdict
    where all signs judge the same facts and another cause is rightly named first."""

    title: str
    facts: Facts
    fires: bool | None
    winner: str = ""


Check = Callable[[Facts], Finding | None]
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Sign:
    """One way to recognise a cause. Empty texts mean the cause's own.

    `code` is the code this sign was known by when it was a rule of its own: old reports, `explain` and precedence.py
    still use it. A new sign needs none; precedence.py then calls it CODE/source.

    `named`, `quiet` and `unchecked` are its examples: what is seen, in words, and the facts. It fires on the first,
    does not on the second, and says of the third that it could not check. `winners` names, by example, the slug of
    the cause that is rightly named instead where all signs judge the same facts.
    """

    source: SignSource
    check: Check
    code: str = ""
    title: str = ""
    why: str = ""
    fix: str = ""
    owner: Owner | None = None
    fixes: Mapping[str, str] = field(default_factory=dict)
    by_time: bool = False
    """It sees only a time, which a busy machine of the doctor's own can bring about, too."""
    fallback: bool = False
    """Asked only where something is wrong and no other sign said what."""
    named: Mapping[str, Facts] = field(default_factory=dict)
    quiet: Mapping[str, Facts] = field(default_factory=dict)
    unchecked: Mapping[str, Facts] = field(default_factory=dict)
    winners: Mapping[str, str] = field(default_factory=dict)

    @property
    def examples(self) -> tuple[Example, ...]:
        """Examples on which it fires, then those on which it does not, then those on which it could not check."""
        return tuple(
            Example(title, facts, fires, self.winners.get(title, ""))
            for fires, group in ((True, self.named), (False, self.quiet), (None, self.unchecked))
            for title, facts in group.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause. `code` is permanent: never reused, never renumbered; `slug` is the cause's name.

    `layer` is the folder that the file stands in, unless it says otherwise. `fixes` maps a platform or framework (as
    platform.py names it) to its own words. What the cause explains, and what explains it, is in precedence.py alone.
    """

    code: str
    slug: str
    title: str
    owner: Owner
    why: str
    fix: str
    signs: tuple[Sign, ...]
    layer: str = ""
    fixes: Mapping[str, str] = field(default_factory=dict)
    merged: tuple[str, ...] = ()
    """Codes and slugs of causes that are now part of this one."""

    @classmethod
    def of(
        cls,
        source: SignSource,
        check: Check,
        *,
        code: str,
        slug: str,
        title: str,
        owner: Owner,
        why: str,
        fix: str,
        fixes: Mapping[str, str] = _NONE,
        layer: str = "",
        merged: tuple[str, ...] = (),
        by_time: bool = False,
        fallback: bool = False,
        named: Mapping[str, Facts] = _NONE,
        quiet: Mapping[str, Facts] = _NONE,
        unchecked: Mapping[str, Facts] = _NONE,
        winners: Mapping[str, str] = _NONE,
    ) -> Cause:
        """A cause that is recognised in one way only: the fields of both in one list."""
        sign = Sign(
            source, check, by_time=by_time, fallback=fallback,
            named=named, quiet=quiet, unchecked=unchecked, winners=winners,
        )  # fmt: skip
        return cls(
            code=code, slug=slug, title=title, owner=owner, why=why, fix=fix, fixes=fixes, layer=layer,
            merged=merged, signs=(sign,),
        )  # fmt: skip

    @property
    def old_codes(self) -> tuple[str, ...]:
        """Codes of rules and causes that were merged into this cause."""
        codes = (*(sign.code for sign in self.signs), *(name for name in self.merged if name.isupper()))
        return tuple(code for code in codes if code)

    def rules(self) -> tuple[Rule, ...]:
        """Each sign with the cause's words."""
        return tuple(
            Rule(
                code=self.code,
                slug=self.slug,
                title=sign.title or self.title,
                layer=self.layer,
                owner=sign.owner or self.owner,
                why=sign.why or self.why,
                fix=sign.fix or self.fix,
                fixes={**self.fixes, **sign.fixes},
                check=sign.check,
                by_time=sign.by_time,
                fallback=sign.fallback,
                examples=sign.examples,
                source=sign.source,
                sign=sign.code or (self.code if number == 0 else f"{self.code}/{sign.source}"),
            )
            for number, sign in enumerate(self.signs)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A sign with its cause's words filled in. `sign` is the sign's own code, by which precedence.py may place it."""

    code: str
    slug: str
    title: str
    layer: str
    owner: Owner
    why: str
    fix: str
    fixes: Mapping[str, str]
    check: Check
    by_time: bool
    fallback: bool
    examples: tuple[Example, ...]
    source: SignSource
    sign: str
