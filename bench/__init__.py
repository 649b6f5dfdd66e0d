"""Measurements: load generators and the cases that `make bench` runs."""
