"""Deterministic: what a run does, in the order it does it. Imports the domain only; activities go by their names."""
