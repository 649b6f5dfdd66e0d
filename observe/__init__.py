"""What runs can be seen by: logs, traces, metrics. Small, beside the domain, for every room but workflows."""
