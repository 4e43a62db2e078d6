"""Webhooks: do they come, and how are they answered? One file a cause."""
