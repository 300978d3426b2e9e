"""A bounded store of float16 feature rows on disk, shared by all runs and safe to kill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from casting_inspect.data.row_store import RowStore
from casting_inspect.errors import UserError


class FeatureStore(RowStore):
    """Rows of float16 and of one shape; see `RowStore`."""

    def add(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Write one shard.

        Args:
            keys: One a row.
            rows: Values (n, ...); stored as float16, so finite and below 65,504 in magnitude.

        Raises:
            UserError: If a value does not fit into float16 or the disk is full.
        """
        with np.errstate(over="ignore"):  # an overflow is infinite, and said below
            stored = np.ascontiguousarray(rows, dtype=np.float16)
        if not np.isfinite(stored).all():
            raise UserError(
                "a feature is not finite or too large for float16: the backbone's weights do not "
                "suit the pictures; use finetune.cached=false or other weights"
            )
        try:
            self.write_shard(keys, stored)
        except OSError as error:
            raise UserError(
                f"the feature cache in {self.folder} cannot be written ({error.strerror}): free "
                "disk space, or name another place with cache.dir=DIR"
            ) from error

    def take(self, keys: Sequence[str]) -> np.ndarray:
        """Copy the rows of ``keys`` into one float16 array (n, ...).

        Raises:
            KeyError: If a key has no row.
        """
        places = [self._places[key] for key in keys]
        first = self._shards[places[0][0]]
        out = np.empty((len(places), *first.shape[1:]), dtype=np.float16)
        by_shard: dict[str, list[tuple[int, int]]] = {}
        for position, (shard, row) in enumerate(places):
            by_shard.setdefault(shard, []).append((position, row))
        for shard, pairs in by_shard.items():
            positions, rows = zip(*pairs, strict=True)
            out[list(positions)] = self._shards[shard][list(rows)]
        return out

    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of one row; the store must hold one."""
        return next(iter(self._shards.values())).shape[1:]
