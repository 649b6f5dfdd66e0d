"""The gate in front of every vendor, kept in Redis: operator's switch, pause, circuit breaker, pace."""
