"""The pictures on which a bundle is held against its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.manifest import check_files, find_manifest
from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import complete_predictions, read_predictions
from casting_inspect.training.trained_run import TrainedRun


@dataclass(frozen=True)
class ParitySet:
    """Labelled pictures with their groups.

    Attributes:
        name: ``validation`` for the run's own, ``given`` for another set.
        words: Which pictures these are, in a sentence's words.
        learnt: Whether the network has learnt from them, so that they lie further from the
            threshold than new ones.
        table: A complete predictions table without figures of the shipped network: ``path``,
            ``label``, ``group``, ``group_wide``, ``part``; of the run's own set ``logit`` is that
            of a network that had not seen the picture.
        root: The folder of the pictures.
    """

    name: str
    words: str
    learnt: bool
    table: pd.DataFrame
    root: Path

    def paths(self) -> list[Path]:
        """Return the pictures' files, in the table's order."""
        return [self.root / PurePosixPath(name) for name in self.table["path"]]

    def spread(self, count: int | None, seed: int = 0) -> NDArray[np.intp]:
        """Return positions of some pictures, sorted: as evenly over groups as these allow.

        Args:
            count: How many at most; None: all.
            seed: Which of a group's pictures come first, and which groups.
        """
        if count is None or count >= len(self.table):
            return np.arange(len(self.table))
        random = np.random.default_rng(seed)
        mixed = self.table.iloc[random.permutation(len(self.table))]
        turn = mixed.groupby(["label", "group_wide"], sort=False).cumcount()
        order = turn.sort_values(kind="stable").index[:count]
        return np.sort(order.to_numpy(np.intp))

    def limited(self, count: int | None) -> ParitySet:
        """Return the same set with so many pictures at most."""
        rows = self.spread(count)
        if len(rows) == len(self.table):
            return self
        table = self.table.iloc[rows].reset_index(drop=True)
        words = f"{len(rows)} of {len(self.table)}, spread over groups, of {self.words}"
        return ParitySet(self.name, words, self.learnt, table, self.root)


def own_set(run: TrainedRun) -> ParitySet:
    """Return a run's whole validation set.

    A single validation part: that. Inner folds: what these held out in turn, which is the whole
    training part. A fit on all groups (``data.fold=final``): what the cross-validation tested in
    turn, which is every picture; there are none that it has not learnt.

    Raises:
        UserError: If the run has none.
    """
    path = run.folder.predictions
    if not path.is_file():
        raise UserError(f"{run.folder.root} has no predictions.csv: the run is not finished")
    table = read_predictions(path)
    if run.config.data.fold == "final":
        rows = table[table["split"] == "test"]
        words, learnt = "all pictures of the run, out of fold in its cross-validation", True
    else:
        rows = table[table["split"] == "val"]
        learnt = bool((rows["inner"] != "").any())
        words = "the run's validation part"
        if learnt:
            words = "the run's training part, out of fold in its inner folds"
    if not len(rows):
        raise UserError(
            f"{path} holds no validation pictures, so nothing shows whether a bundle agrees with "
            "its run: train with data.inner_folds or data.val_fraction above 0"
        )
    rows = rows.drop_duplicates("path").sort_values("path", kind="stable", ignore_index=True)
    found = ParitySet("validation", words, learnt, rows, run.root)
    _check(found)
    return found


def given_set(root: Path, manifest: Path | None) -> ParitySet:
    """Return another set of labelled pictures.

    Args:
        root: Their folder, with normal and defective folders or a manifest.
        manifest: A table to use instead.

    Raises:
        UserError: If there are none, or they are not there.
    """
    frame = find_manifest(root, manifest).sort_values("path", kind="stable", ignore_index=True)
    known = ("path", "label", "group", "group_wide", "part", "lot", "capture", "kind")
    columns = {name: frame[name] for name in known if name in frame}
    table = complete_predictions(pd.DataFrame({**columns, "p_normal": 0.5}))
    found = ParitySet("given", f"the pictures of {(manifest or root).name}", False, table, root)
    _check(found)
    return found


def _check(found: ParitySet) -> None:
    """Check that all files are there, before a network is asked for an hour.

    Raises:
        UserError: If one is not.
    """
    try:
        check_files(found.table, found.root)
    except UserError as error:
        if found.name != "validation":
            raise
        raise UserError(f"{error} (root=DIR says where the run's pictures are now)") from error
