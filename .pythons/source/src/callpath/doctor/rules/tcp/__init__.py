"""The connection: refused, dropped, unreachable, or another service. One file a cause."""
