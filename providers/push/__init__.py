"""Providers of the channel `push`."""
