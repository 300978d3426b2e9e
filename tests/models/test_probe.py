"""The probe against statsmodels, and what weights and penalty mean."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from casting_inspect.models.probe import fit_probe, fit_probes


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    features = generator.normal(3.0, 2.0, (300, 4)) * [1, 10, 0.1, 1]
    features[:, 3] = 7.0  # says nothing
    chance = 1 / (1 + np.exp(-(features[:, 0] - 3 + 0.1 * (features[:, 1] - 30))))
    return features, generator.random(300) < chance


def test_without_penalty_it_is_maximum_likelihood(rows):
    features, normal = rows
    found = fit_probe(features, normal, np.ones(300), 1e-9)
    design = sm.add_constant(features[:, :3])
    expected = sm.Logit(normal, design).fit(disp=0).predict(design)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.logits(features))), expected, atol=2e-3)


def test_a_weight_is_a_number_of_copies(rows):
    features, normal = rows
    copies = np.random.default_rng(1).integers(1, 4, 300)
    weighted = fit_probe(features, normal, 0.5 * copies, 0.1)
    repeated = fit_probe(
        np.repeat(features, copies, 0), np.repeat(normal, copies), np.ones(copies.sum()), 0.1
    )
    np.testing.assert_allclose(weighted.logits(features), repeated.logits(features), atol=1e-3)


def test_at_the_solution_the_gradient_is_nought(rows):
    features, normal = rows
    weights = np.where(normal, 2.0, 1.0)
    found = fit_probe(features, normal, weights, 0.05)
    error = 1 / (1 + np.exp(-found.logits(features))) - normal
    standard = (features - found.mean) / found.deviation
    gradient = (weights * error) @ standard / weights.sum() + 0.05 * found.coefficients
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
    assert abs((weights * error).sum() / weights.sum()) < 1e-4


def test_a_larger_penalty_gives_smaller_coefficients(rows):
    features, normal = rows
    lengths = [
        np.linalg.norm(fit_probe(features, normal, np.ones(300), l2).coefficients)
        for l2 in (10, 1, 0.1, 0.01)
    ]
    assert lengths == sorted(lengths)


def test_scale_and_offset_of_features_do_not_matter(rows):
    features, normal = rows
    first = fit_probe(features, normal, np.ones(300), 0.1).logits(features)
    second = fit_probe(5 * features - 100, normal, np.ones(300), 0.1).logits(5 * features - 100)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_a_path_of_strengths_gives_what_each_alone_gives(rows):
    features, normal = rows
    strengths = [10.0, 0.1, 0.001]
    path = list(fit_probes(features, normal, np.ones(300), strengths))
    assert len(path) == 3
    for l2, found in zip(strengths, path, strict=True):
        alone = fit_probe(features, normal, np.ones(300), l2)
        np.testing.assert_allclose(found.logits(features), alone.logits(features), atol=2e-2)
    assert np.abs(path[0].coefficients).max() < np.abs(path[2].coefficients).max()
