"""Vendors to play with: HTTP and SMTP endpoints that answer and call back as the real ones do."""
