"""Answers of proxies, edges and filters to the upgrade. One file a cause."""
