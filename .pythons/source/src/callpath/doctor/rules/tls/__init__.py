"""The handshake and the certificate. One file a cause."""
