"""What the bytes of the audio are, against what was agreed. One file a cause."""
