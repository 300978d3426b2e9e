"""What is said of an error, in one line."""

from __future__ import annotations

import errno

import pytest

from casting_inspect.errors import UserError, first_line, of_the_disk, one_line


@pytest.mark.parametrize(
    ("error", "first", "whole"),
    [
        (UserError("a.\n b"), "a", "a. b"),
        (ValueError("x"), "x", "ValueError: x"),
        (KeyError(), "KeyError", "KeyError"),
        (OSError("\n  out of\nspace. "), "out of", "OSError: out of space."),
    ],
)
def test_an_error_in_one_line(error: Exception, first: str, whole: str) -> None:
    assert first_line(error) == first
    assert one_line(error) == whole


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "No such thing", "a b"), "a b: No such thing; look"),
        (OSError(errno.ENOSPC, "No space left", b"x"), "x: No space left; the disk is full: free"),
        (OSError(errno.ENOSPC, "No space left"), "a file: No space left; the disk is full"),
        (PermissionError(errno.EACCES, "Denied", "a", None, "b"), "a -> b: Denied; name another"),
        (OSError(errno.EROFS, "Read-only"), "a file: Read-only; name another folder"),
    ],
)
def test_what_a_disk_refuses_is_the_users_to_mend(error: OSError, line: str) -> None:
    assert str(of_the_disk(error)).startswith(line)


@pytest.mark.parametrize(
    "error", [OSError("driver too old"), OSError(errno.EBADF, "Bad descriptor"), TimeoutError()]
)
def test_other_errors_of_the_system_are_ours(error: OSError) -> None:
    assert of_the_disk(error) is None
