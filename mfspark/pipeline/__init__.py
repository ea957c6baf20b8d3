"""The stages of a night: read typed tables, one readable chain, write."""
