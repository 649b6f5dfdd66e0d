"""The ledger: PostgreSQL, the only truth about every notification."""
