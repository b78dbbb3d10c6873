"""``penstock token``: a new token for a client, and the lines that let it in."""

from __future__ import annotations

import argparse
import re
import sys

from penstock.errors import InputError
from penstock.manifest import digest_of, new_token

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="what the token is called in the file, the log and errors")


def run(arguments: argparse.Namespace) -> int:
    """The token goes to stderr, for the client; what the service needs of it to stdout.

    Raises ``InputError`` for a name that doesn't fit its file.
    """
    if not _NAME.fullmatch(arguments.name):
        raise InputError(f"a name is 1 to 64 letters, digits, - and _, got {arguments.name!r}")
    token = new_token()
    print(f"the token, which is shown only now: {token}", file=sys.stderr)
    print(f'[tokens.{arguments.name}]\nsha256 = "{digest_of(token)}"')
    return 0
