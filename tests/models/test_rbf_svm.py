"""The floors' SVM is scikit-learn's, whichever way its kernel is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

from casting_inspect.models import rbf_svm
from casting_inspect.models.rbf_svm import RbfSvm

rng = np.random.default_rng(0)
LABELS = rng.integers(0, 2, 120)
FEATURES = rng.normal(size=(120, 30)) + 0.4 * LABELS[:, None]
OTHERS = rng.normal(size=(40, 30)) + 0.2


@pytest.mark.parametrize("most", [0, 8192])
@pytest.mark.parametrize("gamma", ["scale", "auto", 0.01])
@pytest.mark.parametrize("weights", [None, rng.uniform(0.5, 2.0, 120)])
def test_it_is_the_svc(
    most: int, gamma: Any, weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rbf_svm, "MOST_ROWS", most)
    ours = RbfSvm(3.0, gamma).fit(FEATURES, LABELS, weights)
    theirs = SVC(C=3.0, gamma=gamma, class_weight="balanced").fit(FEATURES, LABELS, weights)
    np.testing.assert_allclose(
        ours.decision_function(OTHERS), theirs.decision_function(OTHERS), atol=1e-6
    )
    assert (ours.predict(OTHERS) == theirs.predict(OTHERS)).all()


def test_features_that_are_all_alike() -> None:
    flat = np.zeros((10, 3))
    labels = np.arange(10) % 2
    ours = RbfSvm().fit(flat, labels).decision_function(flat)
    theirs = SVC(class_weight="balanced").fit(flat, labels).decision_function(flat)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
