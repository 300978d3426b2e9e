"""One process at a time writes a table: two would double its rows."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from casting_inspect.errors import UserError

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
    lock = FileLock(place, fallback_to_soft=False)  # a soft one would outlive a kill
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"out={out}: another process is writing it; end that one, or give another name"
        ) from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # on Windows it goes when it is let go
            place.unlink()
        lock.release()
