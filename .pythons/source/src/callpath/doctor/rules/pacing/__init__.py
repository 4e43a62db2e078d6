"""When audio comes and goes. One file a cause."""
