"""Probes: a planted shortcut is found across groups, none where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from casting_inspect.training.probes import probe_figures, probe_predictions


def table(groups: int = 40, copies: int = 4) -> pd.DataFrame:
    rows = [
        {
            "path": f"{group}_{copy}",
            "label": ("defective", "normal")[group % 2],
            "group": f"g{group}",
            "sha256": f"{hash((group, copy)) & 0xFFFF:04x}",
        }
        for group in range(groups)
        for copy in range(copies)
    ]
    return pd.DataFrame(rows)


def seen(frame: pd.DataFrame, gap: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Return features whose group has a mark of its own, and whose class has ``gap``."""
    generator = np.random.default_rng(seed)
    codes, names = pd.factorize(frame["group"])
    marks = generator.normal(0, 1, (len(names), 6))[codes]
    normal = (frame["label"] == "normal").to_numpy()[:, None]
    features = marks + generator.normal(0, 0.1, marks.shape) + gap * normal
    return {
        "mean_grey": 100 + features[:, :1].astype(np.float32),
        "histogram": features.astype(np.float32),
        "background": features[:, :3].astype(np.float32),
    }


def test_a_planted_shortcut_is_found() -> None:
    frame = table()
    found = probe_figures(frame, seen(frame, gap=2.5))
    for probe in ("histogram", "background"):
        assert found[probe]["auroc_by_file"] > 0.9
        assert found[probe]["auroc_by_group"]["value"] > 0.9
        assert found[probe]["folds"] == 5
        assert found[probe]["groups"] == 40
    assert found["mean_grey"]["brighter"] == "normal"
    assert found["mean_grey"]["auroc_by_group"]["value"] > 0.9


def test_marks_of_groups_are_no_shortcut_when_folds_are_drawn_over_groups() -> None:
    frame = table(groups=60)
    values = []
    for seed in range(6):
        found = probe_figures(frame, seen(frame, 0.0, seed), probes=("histogram",), partition=seed)
        values.append(found["histogram"]["auroc_by_group"]["value"])
    assert 0.35 < np.mean(values) < 0.65


def test_the_same_marks_leak_when_every_file_is_its_own_group() -> None:
    frame = table(groups=60).assign(group="")
    marks = seen(table(groups=60), gap=0.0)
    found = probe_figures(frame, marks, probes=("histogram",))
    assert found["histogram"]["auroc_by_file"] > 0.9


def test_mean_grey_is_taken_as_it_is_whatever_its_direction() -> None:
    frame = table()
    grey = seen(frame, gap=-1.0)
    found = probe_figures(frame, grey, probes=("mean_grey",))["mean_grey"]
    normal = frame["label"] == "normal"
    expected = roc_auc_score(~normal, grey["mean_grey"][:, 0])
    assert found["auroc_by_file"] == pytest.approx(expected)
    by_group = pd.DataFrame({"g": frame["group"], "v": grey["mean_grey"][:, 0], "n": normal})
    means = by_group.groupby("g").mean()
    assert found["auroc_by_group"]["value"] == pytest.approx(
        roc_auc_score(means["n"] < 0.5, means["v"]), abs=1e-9
    )
    assert found["brighter"] == "defective"


def test_groups_and_wide_groups_never_straddle_folds_and_order_changes_nothing() -> None:
    frame = table()
    wide = frame["group"].str.removeprefix("g").astype(int)
    frame["group_wide"] = np.where(wide < 20, "w" + (wide // 4 * 2 + wide % 2).astype(str), "")
    features = seen(frame, gap=1.0)["histogram"]
    found = probe_predictions(frame, features, "histogram")
    assert found is not None
    for column in ("group", "group_wide"):
        known = frame[column] != ""
        folds = found["fold"][known].groupby(frame[column][known]).nunique()
        assert (folds == 1).all()
    order = np.random.default_rng(3).permutation(len(frame))
    again = probe_predictions(
        frame.iloc[order].reset_index(drop=True), features[order], "histogram"
    )
    assert again is not None
    np.testing.assert_array_equal(found["fold"].to_numpy()[order], again["fold"])
    # libsvm stops within its tolerance of 1e-3 of the optimum, at a place that order decides
    np.testing.assert_allclose(found["logit"].to_numpy()[order], again["logit"], atol=1e-2)


def test_too_few_groups_give_no_figure() -> None:
    frame = table(groups=3)
    found = probe_figures(frame, seen(frame, gap=2.0))
    assert found["histogram"] == {
        "auroc_by_file": None,
        "auroc_by_group": None,
        "groups": 0,
        "folds": 0,
    }
