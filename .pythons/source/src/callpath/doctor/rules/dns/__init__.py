"""The name: does it lead to an address that a carrier can reach? One file a cause."""
