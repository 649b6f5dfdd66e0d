"""The environment variables that tell a peer's processes where their servers are."""

DATABASE = "PEER_DATABASE_URL"
REDIS = "PEER_REDIS_URL"
EXECUTOR = "PEER_EXECUTOR"
"""A name of its own for each worker of DBOS, by which it finds what it left when it died."""
