"""The WebSocket handshake itself: headers of the upgrade and of the 101. One file a cause."""
