"""Streams that are cut while they are held open. One file a cause."""
