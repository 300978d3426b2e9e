"""Names of folders and files that are no Unicode, and can stand in no file that is written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from casting_inspect.errors import UserError
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.wish import Wish


def require_unicode(key: str, names: Iterable[str]) -> None:
    r"""Refuse names such as ``Geh\xe4use``, in an old encoding on a Linux disk.

    Args:
        key: What gave them.
        names: Paths, or parts of them.

    Raises:
        UserError: For the first that is not UTF-8.
    """
    for part in (part for name in names for part in Path(name).parts):
        try:
            part.encode("utf-8")
        except UnicodeEncodeError:
            shown = os.fsencode(part).decode("utf-8", "backslashreplace")
            raise UserError(
                f"{key}: the name '{shown}' is in an old encoding, not UTF-8, and cannot be "
                "written down; rename that folder or file, then type the command again"
            ) from None


def require_unicode_words(words: Words) -> None:
    """Refuse a table, or a folder of good castings, whose name is not UTF-8.

    Raises:
        UserError: As `require_unicode`.
    """
    require_unicode("data.manifest", filter(None, [words.manifest]))
    require_unicode("data.normal", words.normal)


def require_unicode_places(wish: Wish) -> None:
    """Refuse a start of which a path is not UTF-8, links followed.

    Raises:
        UserError: As `require_unicode`.
    """
    require_unicode("source", (str(wish.source), str(wish.source.resolve())))
    require_unicode("out", (str(wish.out), str(wish.out.resolve())))
    require_unicode_words(wish.words)
    require_unicode("model.weights", [wish.weights])
    require_unicode("cache.dir", filter(None, [wish.cache]))
