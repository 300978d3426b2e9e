"""One process at a time writes a table: two would double its rows."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from casting_inspect.errors import UserError
from casting_inspect.locks import alone

_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What some network drives answer, which have no locks."""


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a table for this process; the system frees it however the process ends.

    The lock is on ``.NAME.lock`` beside it. Such a file that a kill leaves holds nothing. On a
    drive without locks nothing is held.

    Raises:
        UserError: If another process holds it, or its folder cannot be written.
    """
    place = out.with_name(f".{out.name}.lock")
    busy = f"out={out}: another process is writing it; end that one, or give another name"
    with contextlib.ExitStack() as around:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            around.enter_context(alone(place, busy, soft=False))
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                reason = error.strerror or error
                raise UserError(f"out={out}: cannot be written ({reason})") from None
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # on Windows it goes when it is let go
                place.unlink()
