"""What can keep the stack from running, each as one line a person can act on, with the exit code of the process."""


class StackError(Exception):
    """The stack cannot start or go on. `exit_code` 2: a setting or the machine is in the way; 1: a part failed."""

    def __init__(self, line: str, *, exit_code: int = 2) -> None:
        super().__init__(line)
        self.exit_code = exit_code
