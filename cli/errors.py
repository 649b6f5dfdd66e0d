"""What a command cannot do, as one clear line with a way out."""

FAILED, WRONG, INTERRUPTED = 1, 2, 130
"""Exit codes: the thing failed; the usage or a setting is wrong; Ctrl-C."""


class Failure(Exception):
    """The command ends with this line on standard error and this exit code."""

    def __init__(self, line: str, *, exit_code: int = FAILED) -> None:
        super().__init__(line)
        self.exit_code = exit_code


class Unreachable(Failure):
    """Nobody answered. Who watches may try again; who changes something may not, for it may have been done."""


class Refused(Failure):
    """The API said no. `code` is the problem's (`GET /problems/{code}`)."""

    def __init__(self, line: str, code: str, *, exit_code: int) -> None:
        super().__init__(line, exit_code=exit_code)
        self.code = code
