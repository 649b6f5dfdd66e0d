"""The fuzz run: made-up requests to every route, and vendors' webhooks bent in every way but the genuine one."""
