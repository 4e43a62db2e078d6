"""Who is let in: tokens, gates, lists of addresses. One file a cause."""
