"""Opening regular files below a folder, whatever their path says, and nothing else."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_log = logging.getLogger(__name__)
_OPENAT2 = 437
_NO_MAGICLINKS = 0x02
_BENEATH = 0x08
_LOOK = os.O_PATH | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(folder: Path, path: str) -> int:
    """A descriptor to read the regular file ``path`` from, which lies below ``folder``.

    Symbolic links that are relative may lead to other places below it. What is there is looked at
    before it is opened: a FIFO would wait, and a device may do anything. Raises ``OSError``.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, "a NUL in its path")
    directory = os.open(folder, _LOOK | os.O_DIRECTORY)
    try:
        found = _looked_up(directory, path)
    finally:
        os.close(directory)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def say_how_files_are_found(folders: Iterable[str]) -> None:
    """Warn an operator who allows folders on a kernel that doesn't know ``openat2``."""
    for folder in folders:
        directory = os.open(folder, _LOOK | os.O_DIRECTORY)
        try:
            os.close(_resolved(directory, "."))
        except OSError as exc:
            _log.warning("no openat2 (%s): in %s no symbolic link is taken", exc.strerror, folder)
        finally:
            os.close(directory)


def _looked_up(directory: int, path: str) -> int:
    try:
        return _resolved(directory, path)
    except OSError as exc:
        if exc.errno not in (errno.ENOSYS, errno.EPERM):  # an old sandbox says EPERM
            raise
        return walked(directory, path)


def _resolved(directory: int, path: str) -> int:
    """The kernel sees to it that no step leaves the directory."""
    how = _OpenHow(_LOOK, 0, _BENEATH | _NO_MAGICLINKS)
    name, size = os.fsencode(path), ctypes.c_size_t(ctypes.sizeof(how))
    found: int = _libc.syscall(_OPENAT2, directory, name, ctypes.byref(how), size)
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def walked(directory: int, path: str) -> int:
    """The same in single steps, none of which goes up or follows a link."""
    steps = path.split("/")
    if path.startswith("/") or ".." in steps:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    *inner, last = [step for step in steps if step not in ("", ".")] or ["."]
    at = os.dup(directory)
    try:
        for step in inner:
            below = os.open(step, _LOOK | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(last, _LOOK | os.O_NOFOLLOW, dir_fd=at)
    finally:
        os.close(at)
