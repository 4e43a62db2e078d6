"""A filter for lines that can be passed over unread, made once from what each regular expression needs in a text.

    units = needs(expression)         for each of its alternatives sets such as ({"stream"}, {"fail", "error"}): a text in
                                      which it finds something holds one text of each set of one of them
    filter = Prefilter(units)
    filter.may_matter(words, line)    False: none of the expressions finds anything in a line of these words

Texts are read word by word and each word is looked up once, so a line costs a microsecond or two where the expressions
themselves would cost a hundred. Words are compared without case and digits; an expression of which nothing can be found
out lets every line pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

EXACT_MAX = 64
"""Maximum number of texts that one part of an expression is written out as."""

CLAUSES_MAX = 3
"""How many sets of an expression are looked at, the rarest first."""

LINE_CHARS_MAX = 3_000
"""A longer line is not looked at beyond its words."""

WORDS_MAX = 60_000
"""Maximum number of words that are remembered."""

_PIECE = re.compile(r"(?:[^\W\d_]|')+|[^\x00-\x7f]")

Clause = frozenset[str]


@dataclass(slots=True)
class _Info:
    """What a part of an expression matches: one of `exact`, or anything that holds one text of each of `clauses`."""

    exact: frozenset[str] | None = None
    clauses: list[Clause] = field(default_factory=list)

    def all_clauses(self) -> list[Clause]:
        return self.clauses if self.exact is None else _of_exact(self.exact)


_NOTHING = frozenset({""})


Unit = tuple[Clause, ...]
"""Sets of texts, the rarest first. () says nothing."""


@dataclass(frozen=True, slots=True)
class Last:
    """What is looked for in a line whose words would do: `expression`, where `plain` in the line as patterns read it."""

    expression: re.Pattern[str]
    plain: bool = False


ALTERNATIVES_MAX = 96


def needs(expression: re.Pattern[str], *also: Iterable[str]) -> list[Unit]:
    """What `expression` needs in a text, for each of its alternatives; `also` are further sets that the text must meet.
    Texts have no case, digits or blanks."""
    further = [clause for one in also if (clause := _clause(one))]
    from callpath.private_api import parse_tree  # only where a log is long: it brings the server's libraries with it

    found = []
    for alternative in _expanded(parse_tree(expression)):
        clauses = {*_sequence(alternative).all_clauses(), *further}
        rarest = sorted(clauses, key=_how_common)[:CLAUSES_MAX]
        # A letter by itself stands in nearly every word, and says nothing.
        found.append(tuple(rarest[:1] + [clause for clause in rarest[1:] if min(map(len, clause)) > 1]))
    return found


def _clause(texts: Iterable[str]) -> Clause:
    """The texts as one set; empty, which says nothing, where one of them has no letter."""
    pieces = [max(_PIECE.findall(text.lower()), key=len, default="") for text in texts]
    return frozenset(pieces) if all(pieces) else frozenset()


def _expanded(items: Iterable[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
    """The sequence once for each way through its alternatives, unless these are too many."""
    ways: list[list[tuple[Any, Any]]] = [[]]
    for item in items:
        operation, value = str(item[0]), item[1]
        options = [[item]]
        if operation == "BRANCH":
            options = [way for branch in value[1] for way in _expanded(branch)]
            if len(ways) * len(options) > ALTERNATIVES_MAX:
                options = [list(branch) for branch in value[1]]
        elif operation == "SUBPATTERN":
            options = _expanded(value[-1])
        if len(ways) * len(options) > ALTERNATIVES_MAX:
            options = [[item]]
        ways = [way + option for way in ways for option in options]
    return ways


def _how_common(clause: Clause) -> float:
    return float(sum(0.25 ** len(text) for text in clause))


def _of_exact(texts: frozenset[str]) -> list[Clause]:
    """Pieces of these texts, so that each text has one in every set. What many of them share is taken first."""
    left = [set(_PIECE.findall(text.lower())) for text in texts]
    if not left or not all(left):
        return []
    used: list[list[str]] = [[] for _ in left]
    clauses: list[Clause] = []
    pieces = sorted(set().union(*left), key=lambda piece: (-sum(_in(piece, of) for of in left), -len(piece), piece))
    for _ in range(CLAUSES_MAX):
        taken: dict[int, str] = {}
        for piece in pieces:
            for number, of in enumerate(left):
                apart = not any(piece in other or other in piece for other in used[number])
                if number not in taken and apart and _in(piece, of):
                    taken[number] = piece
        if not taken:
            break
        clauses.append(frozenset(taken.get(number) or used[number][0] for number in range(len(left))))
        for number, piece in taken.items():
            used[number].append(piece)
    return clauses


def _in(piece: str, pieces: set[str]) -> bool:
    return any(piece in other for other in pieces)


def _sequence(items: Iterable[tuple[Any, Any]]) -> _Info:
    exact: frozenset[str] = _NOTHING
    whole = True
    clauses: list[Clause] = []
    for operation, value in items:
        part = _part(str(operation), value)
        if part.exact is not None and len(exact) * len(part.exact) <= EXACT_MAX:
            exact = frozenset(before + text for before in exact for text in part.exact)
            continue
        clauses += _of_exact(exact)
        whole, exact = False, _NOTHING
        if part.exact is not None and len(part.exact) <= EXACT_MAX:
            exact = part.exact
        else:
            clauses += part.all_clauses()
    if whole:
        return _Info(exact)
    return _Info(None, clauses + _of_exact(exact))


def _part(operation: str, value: Any) -> _Info:
    match operation:
        case "LITERAL":
            return _Info(frozenset({chr(value)}))
        case "IN":
            codes = [code for kind, code in value if str(kind) == "LITERAL"]
            return _Info(frozenset(map(chr, codes)) if len(codes) == len(value) <= 8 else None)
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return _Info(_NOTHING)
        case "SUBPATTERN":
            return _sequence(value[-1])
        case "ATOMIC_GROUP":
            return _sequence(value)
        case "BRANCH":
            return _either([_sequence(branch) for branch in value[1]])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = value
            info = _sequence(inner)
            if info.exact is not None and most == 1:
                return _Info(info.exact | _NOTHING if least == 0 else info.exact)
            return _Info(None, info.all_clauses() if least else [])
        case _:
            return _Info(None)


def _either(branches: list[_Info]) -> _Info:
    exact = frozenset().union(*(branch.exact for branch in branches if branch.exact is not None))
    if all(branch.exact is not None for branch in branches) and len(exact) <= EXACT_MAX:
        return _Info(exact)
    each = [sorted(branch.all_clauses(), key=_how_common) for branch in branches]
    if not all(each):
        return _Info(None)
    most = min(CLAUSES_MAX, max(len(clauses) for clauses in each))
    return _Info(
        None, [frozenset().union(*(c[min(number, len(c) - 1)] for c in each)) for number in range(most)]
    )  # fmt: skip


class Prefilter:
    """Units: each a row of sets, of which a line needs one text each to matter."""

    def __init__(self, units: Iterable[tuple[Unit, Last | None]], plain: Callable[[str], str] = str) -> None:
        self._made_plain = plain
        rows = {(tuple(clause for clause in unit if clause), last) for unit, last in units}
        self._always = any(not unit for unit, _ in rows)
        texts = sorted({text for unit, _ in rows for clause in unit for text in clause})
        bits = {text: 1 << number for number, text in enumerate(texts)}
        self._by_head: dict[str, list[tuple[str, int]]] = {}
        for text, bit in bits.items():
            self._by_head.setdefault(text[:2], []).append((text, bit))
        self._alone = 0
        """Texts that matter by themselves."""

        self._behind: dict[int, list[tuple[tuple[int, ...], Last | None]]] = {}
        """For each text of a unit's rarest set: what else that unit needs."""

        for unit, last in rows:
            if not unit:
                continue
            more = tuple(sum(bits[text] for text in clause) for clause in unit[1:])
            for text in unit[0]:
                if more or last is not None:
                    self._behind.setdefault(bits[text], []).append((more, last))
                else:
                    self._alone |= bits[text]
        for behind in self._behind.values():
            behind.sort(key=lambda one: one[1] is not None)  # what costs more comes last
        self._first = sum(self._behind) & ~self._alone
        self._words: dict[str, int] = {}

    def bits(self, word: str) -> int:
        """The texts that stand in this word, as bits."""
        low = word.lower()
        found = 0
        for at in range(len(low)):
            for text, bit in self._by_head.get(low[at : at + 2], ()):
                if low.startswith(text, at):
                    found |= bit
            for _, bit in self._by_head.get(low[at], ()):
                found |= bit
        return found

    def _learn(self, words: Sequence[str]) -> int:
        """The bits of these words together; each is remembered."""
        if len(self._words) >= WORDS_MAX:
            self._words.clear()
        mask = 0
        for word in words:
            bits = self._words.get(word)
            if bits is None:
                bits = self._words[word] = self.bits(word)
            mask |= bits
        return mask

    def may_matter(self, words: Sequence[str], line: str) -> bool:
        """Whether one of the units may find something in `line`, whose words these are, without digits."""
        if self._always:
            return True
        known = self._words
        mask = 0
        try:
            for word in words:
                mask |= known[word]
        except KeyError:
            mask = self._learn(words)
        if mask & self._alone:
            return True
        firsts = mask & self._first
        wordy = len(line) < LINE_CHARS_MAX and "{" not in line and '="' not in line and "msg=" not in line
        plain = ""
        while firsts:
            lowest = firsts & -firsts
            firsts ^= lowest
            for unit, last in self._behind[lowest]:
                for clause in unit:
                    if not mask & clause:
                        break
                else:
                    if last is None or not wordy:
                        return True
                    if last.plain:
                        plain = plain or self._made_plain(line)
                    if last.expression.search(plain if last.plain else line) is not None:
                        return True
        return False
