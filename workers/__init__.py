"""Processes: which queues a worker serves, and the embedded stack that starts everything."""
