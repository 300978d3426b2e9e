"""Whether the folder that pictures come from is still there: a pulled stick is no bad picture."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from casting_inspect.errors import UserError
from casting_inspect.files import pulled


class Mounted:
    """A folder as it was when its pictures were listed.

    Where a stick or a network drive was mounted, an empty folder may stay behind, on another
    device. A folder that was never there is not missed: its pictures alone are.

    Args:
        folder: That pictures lie in, or below.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._device: int | None = folder.stat().st_dev
        except OSError:
            self._device = None

    def problem(self) -> OSError | None:
        """Return why the folder cannot be listed any more, or None."""
        if self._device is None:
            return None
        try:
            with os.scandir(self.folder) as entries:
                next(entries, None)
            device = self.folder.stat().st_dev
        except OSError as error:
            return error
        same = device == self._device
        return None if same else OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def check(self) -> bool:
        """Return False, for a picture that cannot be read: trying again would change nothing.

        Raises:
            UserError: If the folder is gone, so that it is not the picture's fault.
        """
        error = self.problem()
        if error is not None:
            raise UserError(f"{pulled(self.folder, error)}, and resume=true goes on with it")
        return False
