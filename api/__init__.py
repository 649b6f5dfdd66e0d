"""The way in from outside: FastAPI with raw routes in front where it is hot, from bytes to a committed answer."""
