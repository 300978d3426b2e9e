"""Which picture each row of a stream is about, so that a restart neither loses nor doubles one."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Final

from casting_inspect.deployment.rows import write_all
from casting_inspect.deployment.sources import Item, shown
from casting_inspect.errors import UserError

UNDER_WAY: Final = ""
"""In the place of a verdict: the picture is taken, and its row not written yet."""


@dataclass
class Ledger:
    """Line k says what row k is about, and is written before it.

    Names come again at a drop folder, and a kill may fall between a row and the moving of its
    picture; name, size and time together say whether a file has its row. A folder that is unmounted
    and mounted again shows the same files once more. A picture is remembered by 16 bytes, some 120
    with Python's own, so 100,000 of them take 12 MB.

    Attributes:
        path: The file, beside the table.
        verdicts: Of the rows that are there, in order.
    """

    path: Path
    verdicts: list[str] = field(default_factory=list)
    _known: dict[bytes, str] = field(default_factory=dict)
    _stream: FileIO | None = None

    def go_on(self) -> None:
        """Read what is there, and drop lines whose rows a kill has prevented.

        Raises:
            UserError: If lines are missing, it is no ledger, or it cannot be written.
        """
        rows, end = len(self.verdicts), 0
        if not rows and not self.path.exists():
            return
        try:
            with self.path.open("a+b") as stream:
                stream.seek(0)
                for verdict, line in zip(self.verdicts, stream, strict=False):
                    if not line.endswith(b"\n"):
                        break
                    name, mark = json.loads(line)
                    self._known[_key(name, mark)] = sys.intern(verdict)
                    end += len(line)
                    rows -= 1
                if not rows:
                    stream.truncate(end)
        except OSError as error:
            raise self._failed(error) from None
        except ValueError:
            raise UserError(f"{self.path}: is no ledger of a drop folder; remove it") from None
        if rows:
            raise UserError(
                f"{self.path}: lacks {rows} of the {len(self.verdicts)} pictures that have rows; "
                "it goes with the table: bring it back, or give another out=FILE"
            )
        self.verdicts.clear()

    def _failed(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be written ({error.strerror or error})")

    def verdict_of(self, item: Item) -> str | None:
        """Return the verdict of a picture that has its row, or None."""
        return self._known.get(_key(shown(item.name), item.mark)) or None

    def take(self, item: Item) -> str | None:
        """Return None for a new picture, which counts as taken from then on.

        Of one that was taken before it returns the verdict, or ``UNDER_WAY``.
        """
        key = _key(shown(item.name), item.mark)
        found = self._known.get(key)
        if found is None:
            self._known[key] = UNDER_WAY
        return found

    def write(self, items: list[Item], verdicts: list[str]) -> None:
        """Note pictures whose rows are about to be written, and the verdicts in those.

        Raises:
            UserError: If the disk is full or gone.
        """
        for item, verdict in zip(items, verdicts, strict=True):
            self._known[_key(shown(item.name), item.mark)] = sys.intern(verdict)
        pairs = ([shown(item.name), item.mark] for item in items)
        try:
            if self._stream is None:
                self._stream = self.path.open("ab", buffering=0)
            text = "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
            write_all(self._stream, text)
        except OSError as error:
            raise self._failed(error) from None

    def sync(self) -> None:
        """Wait until it is on the disk.

        Raises:
            UserError: If the disk is gone.
        """
        if self._stream is not None:
            try:
                os.fsync(self._stream.fileno())
            except OSError as error:
                raise self._failed(error) from None

    def close(self) -> None:
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _key(name: str, mark: str) -> bytes:
    """Return what a picture of this shown name and mark is remembered by."""
    return hashlib.blake2b(f"{name}\0{mark}".encode(), digest_size=16).digest()
