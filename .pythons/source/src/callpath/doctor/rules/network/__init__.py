"""Telnyx could not reach us, or we not Telnyx. One file a cause."""
