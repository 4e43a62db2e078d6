"""What a callpath server says of itself when it refuses an upgrade: no guess is needed then."""

from __future__ import annotations

from dataclasses import dataclass

from callpath.call.address import ANSWERED_BY_HEADER
from callpath.doctor.facts import Exchange, Facts, UpgradeFacts
from callpath.wire.document import decode_foreign


@dataclass(frozen=True, slots=True)
class OwnWord:
    """`reason` is the fixed slug that also stands in the server's log and on the call's timeline."""

    reason: str
    detail: str
    exchange: Exchange


def own_word(exchange: Exchange) -> OwnWord | None:
    """What the callpath server said in `exchange`; None where another spoke."""
    if exchange.outcome != "answer" or exchange.upgraded or not exchange.has(ANSWERED_BY_HEADER):
        return None
    try:
        answer = decode_foreign(exchange.text)
        return OwnWord(str(answer["error"]), str(answer["detail"]), exchange)
    except (ValueError, KeyError, TypeError):
        return None


def refused_by_callpath(facts: Facts, *reasons: str) -> OwnWord | None:
    """The server's own word to the carrier's upgrade, where it is one of `reasons`."""
    word = own_word(facts[UpgradeFacts].carrier)
    return word if word is not None and word.reason in reasons else None
