"""`python -m bench [case ...]`: plays the cases that are not kept yet, or the named ones anew.

Exit code 1: a promise was broken (something was lost, or sent twice uncounted); 2: a case could not be played;
3: all promises were kept, and a figure missed its bound.
"""

import argparse
import sys

from bench.playing import NAMES, Unknown, play


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"names or globs of: {', '.join(NAMES)}")
    try:
        return play(parser.parse_args().cases)
    except Unknown as unknown:
        parser.error(str(unknown))


if __name__ == "__main__":
    sys.exit(main())
