"""How the Telnyx account, number and application are set. One file a cause."""
