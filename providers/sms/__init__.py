"""Providers of the channel `sms`."""
