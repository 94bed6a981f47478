"""Talking to Redis. The only room that knows the client library."""
