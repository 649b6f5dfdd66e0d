"""Vendors: one class, one file, found by the entry point group `clarion.providers`."""
