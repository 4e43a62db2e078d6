"""What the application's own code did. One file a cause."""
