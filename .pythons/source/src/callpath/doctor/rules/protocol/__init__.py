"""Frames on an open stream, and how it ends. One file a cause."""
