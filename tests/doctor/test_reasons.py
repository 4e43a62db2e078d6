"""Why the program itself ended something."""

from __future__ import annotations

from callpath.doctor.reasons import closed_by_program, last_words
from callpath.doctor.rules.sample_call import BEGIN_UNIX_MS, CAME, GOOD, after, hung_up
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import HandlerFailed, SocketClosed

SAYS = line(1_150, "no call state, closing", because="lookup", closes=True)


def test_a_reason_counts_where_the_socket_closed() -> None:
    """The same words a minute before are about something else."""
    closed = after(1_200, SocketClosed(code=1000))
    near = closed_by_program(told_call(CAME, closed, (20_000, hung_up()), complaints=(SAYS,)))
    far = closed_by_program(
        told_call(CAME, after(9_000, SocketClosed(code=1000)), (20_000, hung_up()), complaints=(SAYS,))
    )

    assert near is not None and near.line == SAYS and near.at_once
    assert far is None


def test_a_code_of_the_programs_own() -> None:
    """Telnyx is not known to close with 4404; 1006 may be anybody's."""
    own = closed_by_program(told_call(CAME, after(1_200, SocketClosed(code=4404)), (20_000, hung_up())))
    anyones = closed_by_program(told_call(CAME, after(1_200, SocketClosed(code=1006)), (20_000, hung_up())))

    assert own is not None and own.line is None
    assert anyones is None


def test_the_end_of_the_call_and_an_exception_are_other_matters() -> None:
    """A socket that closes with its call is in order; one that closes on an exception has its reason."""
    crash = HandlerFailed(error="KeyError", traceback="")

    assert (
        closed_by_program(told_call(GOOD, complaints=(line(12_300, "closing the socket: bad", closes=True),))) is None
    )
    assert closed_by_program(told_call(CAME, after(1_100, crash, SocketClosed(code=4404)), complaints=(SAYS,))) is None


def test_last_words_are_those_of_the_time_asked_for() -> None:
    """Evidence from another minute would be none."""
    facts = told_call(CAME, complaints=(SAYS,))

    assert ("the program says (bot.log:7): no call state, closing",) == last_words(
        facts, BEGIN_UNIX_MS, BEGIN_UNIX_MS + 2_000
    )
    assert () == last_words(facts, BEGIN_UNIX_MS + 5_000, BEGIN_UNIX_MS + 9_000)
