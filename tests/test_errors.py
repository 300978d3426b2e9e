"""What is said of an error, in one line."""

from __future__ import annotations

import pytest

from casting_inspect.errors import UserError, first_line, one_line


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
