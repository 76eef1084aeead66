"""Clouds on loopback, for rehearsal and tests."""
