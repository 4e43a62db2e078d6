"""How the application runs: instances, restarts, files that tell a platform what to start. One file a cause."""
