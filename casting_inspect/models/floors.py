"""Classical floors: what a grey histogram, a tiny picture or the background alone can tell.

A figure that a floor reaches too is no evidence of having seen a defect. Each floor is an RBF-SVM
on a few numbers of a picture; nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.errors import UserError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FLOORS: Final = ("floor_histogram", "floor_pixels", "floor_background")
SEEN: Final = ("mean_grey", "histogram", "pixels", "background")
"""What can be seen of a picture without looking at the casting's details."""
BINS: Final = 64
SIDE: Final = 32
CORNER: Final = 0.1
"""Side of a corner patch as a share of the picture's: usually no casting reaches that far."""
COST: Final = 10.0
_TARGET: Final = "casting_inspect.models.floors."

Grey = NDArray[np.uint8]
Features = NDArray[np.float32]


def is_floor(target: str) -> bool:
    """Say whether a model's import path is that of a floor."""
    return target.startswith(_TARGET)


def refuse_floor(name: str) -> UserError:
    """Return the error for a command that needs a network where the run is a floor's."""
    return UserError(
        f"{name} is a floor: it shows what a split is worth, keeps no checkpoint and inspects no "
        "parts; name the run of a network"
    )


def grey_of(picture: NDArray[np.uint8]) -> Grey:
    """Return the luma of a picture, uint8 (H, W), of RGB uint8 (H, W, 3)."""
    grey: Grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    return grey


def picture_features(seen: str, picture: NDArray[np.uint8]) -> Features:
    """Return what is seen of one picture.

    - ``mean_grey``: the mean, 0 to 255, (1,).
    - ``histogram``: shares of 64 equal bins of grey, (64,).
    - ``pixels``: the picture squashed to 32 x 32 grey values, 0 to 255, (1024,).
    - ``background``: of four corner patches, a tenth of the side each: the sorted means, the
      sorted standard deviations, and one histogram of all four, (72,). Sorted, because castings
      come turned and mirrored. A part that fills the picture shows itself in the corners; then
      this is no background.

    Args:
        seen: One of `SEEN`, or of `FLOORS`.
        picture: RGB, uint8 (H, W, 3), any size.

    Raises:
        ValueError: If ``seen`` is neither.
    """
    what = seen.removeprefix("floor_")
    if what not in SEEN:
        raise ValueError(f"'{seen}' must be one of {', '.join((*SEEN, *FLOORS))}")
    grey = grey_of(picture)
    if what == "mean_grey":
        return np.array([grey.mean()], dtype=np.float32)
    if what == "histogram":
        return _histogram(grey)
    if what == "pixels":
        small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.float32).ravel()
    return _background(grey)


def floor_features(seen: str, pictures: Iterable[NDArray[np.uint8]]) -> Features:
    """Return `picture_features` of several pictures, (n, d)."""
    return np.stack([picture_features(seen, picture) for picture in pictures])


def make_floor(
    name: str = "floor_histogram", cost: float = COST, gamma: float | str = "scale"
) -> Pipeline:
    """Return an untrained classifier; ``decision_function`` is above 0 for normal (class 1).

    Features are standardised; both classes count the same. ``cost`` was fixed once for all three:
    with 10 the histogram errs on 2 or 3 of the 3,205 files of a test set drawn as the paper's, the
    small picture on none of the vendor's 715, and the background has an AUC of 0.95 there.

    Args:
        name: One of `FLOORS`; all take the same classifier.
        cost: The SVM's C, above 0: larger fits the training files more closely.
        gamma: Of the radial kernel: ``scale`` (1 over features times variance), ``auto`` (1 over
            features) or a number above 0.

    Raises:
        UserError: If ``name`` is no floor.
    """
    if name not in FLOORS:
        raise UserError(f"model.name={name}: a floor is one of {', '.join(FLOORS)}")
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from casting_inspect.models.rbf_svm import RbfSvm

    return make_pipeline(StandardScaler(), RbfSvm(cost, gamma))


def fitted_floor(
    name: str,
    features: NDArray[Any],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None = None,
    **options: Any,
) -> Pipeline:
    """Return a floor fitted to features (n, d) and labels (n,), 0 defective and 1 normal.

    Args:
        name: One of `FLOORS`.
        features: `floor_features` of that name.
        labels: Both classes.
        weights: Of each file, above 0; by default all the same.
        options: ``cost`` and ``gamma`` of `make_floor`.
    """
    floor = make_floor(name, **options)
    floor.fit(np.asarray(features, dtype=np.float64), labels, rbfsvm__sample_weight=weights)
    return floor


def log_odds_of(floor: Pipeline, features: NDArray[Any]) -> NDArray[np.float64]:
    """Return the floor's score of each row, (n,), above 0 for normal.

    A distance from the border between the classes, used as log-odds: 0 is a probability of one
    half, and the order is right; it is not calibrated.
    """
    scores = floor.decision_function(np.asarray(features, dtype=np.float64))
    return np.asarray(scores, dtype=np.float64)


def out_of_fold(
    name: str, features: NDArray[Any], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return each row's score by the floor that was fitted to the other folds, (n,).

    Args:
        name: One of `FLOORS`.
        features: (n, d).
        labels: 0 defective, 1 normal, (n,).
        folds: The fold's number of each row, (n,); drawn over groups, no copy crosses over.

    Raises:
        UserError: If the rows outside a fold are of one class.
    """
    scores = np.empty(len(labels))
    for fold in np.unique(folds):
        here = folds == fold
        if len(np.unique(labels[~here])) < 2:
            raise UserError(f"fold {fold}: the other folds hold one class only; take fewer folds")
        scores[here] = log_odds_of(
            fitted_floor(name, features[~here], labels[~here]), features[here]
        )
    return scores


def _histogram(grey: Grey) -> Features:
    counts = np.bincount(grey.ravel() // (256 // BINS), minlength=BINS)
    return np.asarray(counts / grey.size, dtype=np.float32)


def _background(grey: Grey) -> Features:
    height, width = (max(1, round(CORNER * side)) for side in grey.shape)
    patches = [
        grey[rows, columns]
        for rows in (slice(None, height), slice(-height, None))
        for columns in (slice(None, width), slice(-width, None))
    ]
    means = np.sort([patch.mean() for patch in patches])
    spreads = np.sort([patch.std() for patch in patches])
    together = np.concatenate([patch.ravel() for patch in patches])
    numbers: Features = np.concatenate([means, spreads, _histogram(together)]).astype(np.float32)
    return numbers
