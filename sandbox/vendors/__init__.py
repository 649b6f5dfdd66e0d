"""The vendors, each in its real wire format."""
