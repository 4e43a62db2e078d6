"""Commands, and the life of the call. One file a cause."""
