"""Who may call a service, and what with: the operator's file of tokens.

Tokens are random and long, so that a plain hash keeps them secret: who reads the file can't call.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from penstock.errors import ConfigurationError, Fault
from penstock.manifest.faults import Closest, faults_of
from penstock.manifest.schema import Document

_KEY = "service.tokens"
"""Where the configuration names the file."""
PREFIX = "pst_"
"""What tokens begin with, so that people and scanners know one when they see it."""
_BYTES = 32
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_Patterns = Annotated[tuple[str, ...], Field(strict=False)]
_Count = Annotated[int, Field(ge=0)]
_DIGEST = re.compile("[0-9a-f]{64}")


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError("must be 64 hexadecimal digits, as 'penstock token' writes them")
    return text


class TokenRights(Document):
    """What the bearer of a token may do; patterns are those of a shell (``*``, ``?``).

    ``methods`` are names such as ``StreamPipeline``, ``node_types`` those of a manifest's nodes.
    ``sessions`` are those whose health it sees, and that it controls: its own, or all.
    ``max_sessions`` and ``max_processes`` bind all its sessions together, and so does
    ``max_shared_memory_bytes`` (None: nothing does).
    """

    sha256: Annotated[str, AfterValidator(_digest)]
    methods: _Patterns = ("*",)
    node_types: _Patterns = ("*",)
    sessions: Literal["own", "all"] = "own"
    max_sessions: _Count | None = None
    max_processes: _Count | None = None
    max_shared_memory_bytes: _Count | None = None

    def may_call(self, method: str) -> bool:
        """Whether the method of that name may be called."""
        return any(fnmatchcase(method, pattern) for pattern in self.methods)

    def may_use(self, node_type: str) -> bool:
        """Whether a manifest may have nodes of that type."""
        return any(fnmatchcase(node_type, pattern) for pattern in self.node_types)


class _File(Document):
    """``[tokens.NAME]`` for each; a file that says nothing of tokens has yet to be written."""

    tokens: dict[str, TokenRights]


class Tokens:
    """The tokens of one file, by their names."""

    def __init__(self, rights: Mapping[str, TokenRights]) -> None:
        self._rights = dict(rights)

    def bearer(self, token: str) -> tuple[str, TokenRights] | None:
        """The name and the rights of a token that was shown; None for one that isn't known.

        All are compared, each in constant time: how long it takes tells nothing.
        """
        digest = digest_of(token)
        found = None
        for name, rights in self._rights.items():
            if hmac.compare_digest(digest, rights.sha256):
                found = name, rights
        return found

    def fitting_none(self, methods: Collection[str]) -> Iterator[tuple[str, str]]:
        """Each token's name with a pattern of its rights that fits none of the ``methods``."""
        for name, rights in self._rights.items():
            for pattern in rights.methods:
                if not any(fnmatchcase(method, pattern) for method in methods):
                    yield name, pattern


def can_be_token(text: str) -> bool:
    """Whether a text can be shown as a bearer token: visible ASCII, without blanks."""
    return re.fullmatch(r"[!-~]+", text) is not None


def new_token() -> str:
    """A token that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(token: str) -> str:
    """What stands in the file for a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def load_tokens(path: str | os.PathLike[str]) -> Tokens:
    """The tokens in a TOML file; raises ``ConfigurationError`` with every fault of it.

    A file that others may write is none: who can add a token needs no other.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS_MAY_WRITE:
                raise _fault(f"{path}: others may write to it; expected chmod go-w")
            held = _File.model_validate(tomllib.loads(file.read().decode()))
    except OSError as exc:
        raise _fault(f"{path} can't be read: {exc.strerror or exc}") from exc
    except ValidationError as exc:
        found = faults_of(exc, _File, closest=Closest())
        raise ConfigurationError([_without_secrets(fault, path) for fault in found]) from None
    except ValueError as exc:  # not UTF-8, or not TOML
        raise _fault(f"{Path(path)} is not TOML: {exc}") from exc
    return Tokens(held.tokens)


def _without_secrets(fault: Fault, path: str | os.PathLike[str]) -> Fault:
    """The fault without what was found: it may be a token, written where its hash belongs."""
    message = f"{path}: {fault.path}: {fault.message.partition(', got ')[0]}"
    return Fault(_KEY, message, expected=fault.expected, suggestion=fault.suggestion)


def _fault(message: str) -> ConfigurationError:
    return ConfigurationError([Fault(_KEY, message)])
