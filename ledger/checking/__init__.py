"""The ledger's checker: reads what is written, and judges it by rules of its own, not by the code that wrote it."""
