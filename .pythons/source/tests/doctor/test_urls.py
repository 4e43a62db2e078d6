"""Two URLs, part by part."""

from __future__ import annotations

import pytest

from callpath.doctor.urls import differences, same_host, same_url

OURS = "https://calls.example.com/api/calls/webhook"


@pytest.mark.parametrize(
    "theirs",
    [
        OURS,
        "HTTPS://CALLS.EXAMPLE.COM/api/calls/webhook",
        "https://calls.example.com:443/api/calls/webhook",
        "https://calls.example.com./api/calls/webhook",
        "https://calls.example.com/api/%63alls/webhook",
    ],
)
def test_the_same_place_written_in_another_way(theirs: str) -> None:
    """Naming these as a fault would send people after what is right."""
    assert same_url(theirs, OURS)
    assert same_host(theirs, OURS)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ("http://calls.example.com/api/calls/webhook", "the scheme is http, ours is https"),
        ("https://old.example.com/api/calls/webhook", "the host is old.example.com, ours is calls.example.com"),
        ("https://calls.example.com:8443/api/calls/webhook", "the port is 8443, ours is 443"),
        ("https://calls.example.com/webhook", "the path is '/webhook', ours is '/api/calls/webhook'"),
        ("https://calls.example.com", "the path is '/', ours is '/api/calls/webhook'"),
        (OURS + "/", "has a slash at the end"),
        ("https://calls.example.com//api/calls/webhook", "has a doubled slash"),
        ("https://calls.example.com/API/calls/webhook", "in upper and lower case"),
        (OURS + "?key=1", "the query is ?key=1, ours is none"),
        ("", "it is empty"),
        (OURS + " ", "it has blanks around it"),
        ("calls.example.com/api", "it is not a full URL"),
        ("https://[calls/api", "it is not a full URL"),
        ("https://calls.example.com:port/api", "it is not a full URL"),
    ],
)
def test_each_part_that_differs_is_named(theirs: str, words: str) -> None:
    """ "It differs" is no help: people stare at two URLs and do not see the slash."""
    found = differences(theirs, OURS)

    assert 1 == len(found)
    assert words in found[0]


def test_several_parts_at_once() -> None:
    """Mending one of three would only lead to the next failed call."""
    assert 3 == len(differences("http://a.example.com/x", OURS))


@pytest.mark.parametrize("theirs", ["", "https://", "https://a.example.com", "https://[", "/api/calls/webhook"])
def test_another_host_or_none(theirs: str) -> None:
    """An application is taken for ours by its host."""
    assert not same_host(theirs, OURS)
