"""The path, and what the application does with it. One file a cause."""
