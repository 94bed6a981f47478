"""The web UI as people meet it: in a real browser."""
