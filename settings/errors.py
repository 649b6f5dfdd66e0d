"""What is raised for a wrong setting."""


class SettingsError(Exception):
    """A setting is missing or wrong. The text is one clear line; the process ends with exit code 2."""
