"""What is asked of the doctor."""

from __future__ import annotations

from callpath.doctor.request import Override, Request


def test_whoever_names_the_address_means_it() -> None:
    """A laboratory on loopback is no URL that was built from an unset variable."""
    assert not Request(url="wss://localhost/").vouched
    assert Request(url="wss://a/", resolve=(Override("a", 443, "127.0.0.1"),)).vouched
    assert Request(url="wss://a/", resolver=("127.0.0.1", 53)).vouched
    assert Request(url="wss://a/", ca_file="ca.pem").vouched
