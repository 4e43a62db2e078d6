"""URL003: the URL names a host that only this machine or network knows."""

from callpath.doctor.facts import Facts, UpgradeFacts, UrlFacts
from callpath.doctor.rule import IN_THE_URL, Cause, Finding
from callpath.doctor.rules.sample import url

_WORDS = {
    "loopback": "this machine itself",
    "private": "a private network (RFC 1918, 6598 or 4193)",
    "link-local": "one cable (link-local)",
    "unspecified": "no machine at all (the wildcard address)",
    "internal-name": "an internal network: no public resolver knows that name",
    "bare-name": "one container network or office: the name has no domain",
}


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if given.host_class == "public":
        return None
    summary = f"{given.host} leads to {_WORDS[given.host_class]}; a carrier cannot reach it"
    evidence = (f"host: {given.host} ({given.host_class})",)
    if _meant(facts, given):
        return Finding(f"{summary}. Taken as meant, since this looks like development", evidence, kind="note")
    return Finding(summary, evidence, certain=IN_THE_URL)


def _meant(facts: Facts, given: UrlFacts) -> bool:
    """A laboratory or a development server, as far as the user's own options and the endpoint's answers say.

    An address, resolver or CA named on the command line is the user's word. Without it, plain ws:// to this machine is
    how servers are tried at home, but `localhost` with nothing behind it is the classic unset PUBLIC_URL. What answers
    with HTTP there is a real server with a fault (or none) of its own, which is then what was asked about.
    """
    if given.vouched:
        return True
    if given.host_class != "loopback":
        return False
    if given.scheme == "ws":
        return given.host != "localhost" or UpgradeFacts in facts
    return False


CAUSE = Cause.of(
    "url",
    check,
    code="URL003",
    slug="url-private-host",
    title="The URL's host exists only inside your machine or network",
    owner="you",
    why="The carrier connects from the internet. An address of this machine, of a private network or of a container's "
    "name works in every local test and never for a call. Mostly a default such as localhost:3000 was used because "
    "PUBLIC_URL was not set.",
    fix="Use the public name of the service, and make the public base URL a required setting with no default: "
    "PUBLIC_URL=https://HOST",
    named={
        "localhost from a default": Facts(url(host="localhost", host_class="loopback")),
        "a container's name": Facts(url(host="app", host_class="bare-name")),
    },
    quiet={"a public name": Facts(url())},
)
