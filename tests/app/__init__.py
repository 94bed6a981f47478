"""Tests of `asyncq.app`: groups of services, settings, and the timing wheel."""
