"""The actors of a server, one a file, and the pure decisions beside them."""
