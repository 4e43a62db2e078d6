"""What stands in the stream URL itself. One file a cause."""
