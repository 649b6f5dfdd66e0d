"""The embedded stack: servers, sandbox, API and workers, started and watched by one process."""
