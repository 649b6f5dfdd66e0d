"""Clarion's words and rules: pure, no I/O, imports nothing of ours."""
