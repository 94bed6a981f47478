"""A consumer that is killed at each point of a delivery loses nothing (docs/adr/0024)."""
