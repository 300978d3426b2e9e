from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import make_run

from casting_inspect import export, predict
from casting_inspect.data.decode import read_rgb
from casting_inspect.deployment import Scorer
from casting_inspect.deployment.load import scorer_of
from casting_inspect.deployment.runtimes import Scored
from casting_inspect.deployment.scorer import probabilities, squared, verdicts_of
from casting_inspect.deployment.verdict import Limits, Picture, PictureScorer
from casting_inspect.errors import UserError
from casting_inspect.evaluation.pointing import in_original
from casting_inspect.training.trained_run import MapChoice, TrainedRun


@pytest.fixture(scope="module")
def scorers(run: Path, bundle: Path) -> dict[str, PictureScorer]:
    """Return the run's scorer, and the bundle's for each runtime."""
    offered = [model.runtime for model in Scorer(bundle).bundle.models]
    return {"run": scorer_of(run), **{name: Scorer(bundle, runtime=name) for name in offered}}


def drawn(seed: int, height: int, width: int, colour: bool) -> Picture:
    """Return a picture of blots, which is more like a casting than noise is."""
    import cv2

    random = np.random.default_rng(seed)
    channels = 3 if colour else 1
    coarse = random.integers(0, 256, (5, 5, channels), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(picture.reshape(height, width, 3) if colour else picture)


sizes = st.integers(1, 200)


@given(st.integers(0, 2**32 - 1), sizes, sizes, st.booleans())
@settings(max_examples=40)
def test_a_bundle_says_what_its_checkpoint_says_of_any_picture(
    scorers: dict[str, PictureScorer], seed: int, height: int, width: int, colour: bool
) -> None:
    picture = drawn(seed, height, width, colour)
    said = {name: scorer([picture])[0] for name, scorer in scorers.items()}
    for name, verdict in said.items():
        assert abs(verdict.p_normal - said["run"].p_normal) < 1e-5, name
        limit = scorers[name].limits.high
        if abs(verdict.p_normal - limit) > 1e-5:
            assert verdict.verdict == said["run"].verdict, name
            assert verdict.verdict == scorers[name].limits.judge(verdict.p_normal)


@given(st.integers(0, 2**32 - 1), sizes, sizes)
@settings(max_examples=20)
def test_grey_and_its_three_channels_are_one_picture(
    scorers: dict[str, PictureScorer], seed: int, height: int, width: int
) -> None:
    grey = drawn(seed, height, width, colour=False)
    forms = [grey, grey[..., None], np.repeat(grey[..., None], 3, axis=2)]
    for scorer in scorers.values():
        first, *others = scorer(forms)
        assert all(abs(other.p_normal - first.p_normal) < 1e-6 for other in others)


def test_verdicts_come_in_order_whatever_the_batch(scorers: dict[str, PictureScorer]) -> None:
    pictures = [drawn(seed, 40 + seed, 90 - seed, bool(seed % 2)) for seed in range(37)]
    for scorer in scorers.values():
        alone = [scorer([picture])[0].p_normal for picture in pictures]
        together = [verdict.p_normal for verdict in scorer(pictures)]
        np.testing.assert_allclose(together, alone, atol=1e-6)
        assert scorer([]) == []


def test_several_threads_get_their_own_verdicts(scorers: dict[str, PictureScorer]) -> None:
    pictures = [drawn(seed, 70, 50, colour=True) for seed in range(24)]
    for scorer in scorers.values():
        alone = [scorer([picture])[0].p_normal for picture in pictures]
        with ThreadPoolExecutor(6) as pool:
            for _ in range(3):
                found = pool.map(lambda one, scorer=scorer: scorer([one])[0].p_normal, pictures)
                np.testing.assert_allclose(list(found), alone, atol=1e-6)


def test_what_is_no_picture_is_refused() -> None:
    good = np.zeros((4, 5, 3), np.uint8)
    assert squared(good, 8, "pad").shape == (8, 8, 3)
    for bad in (good.astype(np.float32), good[:, :, :2], good[None], good[0, 0]):
        with pytest.raises(ValueError, match="is no picture"):
            squared(bad, 8, "pad")
    with pytest.raises(ValueError, match="shows nothing"):
        squared(good[:0], 8, "pad")


def test_what_is_not_a_number_never_passes() -> None:
    scored = Scored(np.array([np.nan]), np.array([np.nan], np.float32), None)
    with pytest.raises(ValueError, match="not a number"):
        verdicts_of(scored, [np.zeros((4, 4), np.uint8)], "pad", 8, Limits(0.0, 0.0), False)


def test_maps_show_the_picture_and_not_what_filled_it_up() -> None:
    heat = np.zeros((1, 8, 8), np.float32)
    heat[0, 3, 6] = 1.0
    scored = Scored(np.array([1.0]), np.array([0.7], np.float32), heat)
    wide = np.zeros((50, 100), np.uint8)
    (verdict,) = verdicts_of(scored, [wide], "pad", 64, Limits(0.0, 0.0), heatmaps=True)
    assert verdict.heatmap is not None
    assert verdict.heatmap.shape == (32, 64)
    row, column = divmod(int(verdict.heatmap.argmax()), 64)
    assert abs((row + 16) / 8 - 3.5) <= 0.5
    assert abs(column / 8 - 6.5) <= 0.5
    (plain,) = verdicts_of(scored, [wide], "pad", 64, Limits(0.0, 0.0), heatmaps=False)
    assert plain.heatmap is None


def test_probabilities_neither_overflow_nor_leave_their_range() -> None:
    found = probabilities(np.array([-800.0, -1.0, 0.0, 1.0, 800.0]))
    np.testing.assert_allclose(found, [0.0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1.0])


def test_neither_torch_nor_lightning_is_imported(bundle: Path) -> None:
    script = (
        "import sys, numpy as np\n"
        "from casting_inspect.deployment import Scorer\n"
        f"print(Scorer({str(bundle)!r})([np.zeros((80, 60), np.uint8)])[0].verdict)\n"
        "heavy = ('torch', 'lightning', 'pandas', 'scipy', 'hydra', 'nncf', 'matplotlib')\n"
        "print([name for name in heavy if sys.modules.get(name) is not None])\n"
        "print(sys.modules.get('openvino_telemetry'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    verdict, heavy, telemetry = done.stdout.splitlines()
    assert verdict in ("normal", "defective")
    assert heavy == "[]"
    assert telemetry == "None"  # what would report to the makers of the runtime


def test_a_run_and_its_bundle_have_the_same_limits(run: Path, bundle: Path) -> None:
    one, other = scorer_of(run), scorer_of(bundle)
    assert one.limits == other.limits
    assert len(one.digest) == len(other.digest) == 64


def test_run_and_bundle_show_the_place_that_evaluate_shows(
    scorers: dict[str, PictureScorer], run: Path, castings: Path
) -> None:
    found = TrainedRun(run, choice=MapChoice())
    inspector = found.inspector_in(found.folder)
    pictures = [read_rgb(path)[:48, :64] for path in sorted(castings.glob("**/*.png"))]
    squares = [squared(each, inspector.image_size, inspector.fit) for each in pictures]
    _, evidence = inspector.look(np.stack(squares))
    assert (evidence.max(axis=(1, 2)) > 0).mean() > 0.3  # the others show nothing
    for name, scorer in scorers.items():
        for verdict, square in zip(scorer(pictures, heatmaps=True), evidence, strict=True):
            assert verdict.heatmap is not None
            heat = in_original(square / (square.max() or 1.0), 48, 64, inspector.fit)
            np.testing.assert_allclose(verdict.heatmap, heat, atol=5e-3, err_msg=name)


def test_verdicts_with_and_without_maps_are_the_same(bundle: Path) -> None:
    pictures = [drawn(seed, 48, 64, colour=True) for seed in range(9)]
    for runtime in [model.runtime for model in Scorer(bundle).bundle.models]:
        plain, drawing = Scorer(bundle, runtime), Scorer(bundle, runtime, heatmaps=True)
        said = [
            [verdict.p_normal for verdict in scorer(pictures, heatmaps=heatmaps)]
            for scorer in (plain, drawing)
            for heatmaps in (False, True)
        ]
        np.testing.assert_allclose(said, [said[0]] * 4, atol=1e-6)
        assert plain(pictures)[0].heatmap is None
        assert plain(pictures, heatmaps=True)[0].heatmap is not None


def test_heatmaps_of_a_run_whose_pictures_have_gone_are_refused_at_once(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(castings, pictures)
    run = make_run(tmp_path / "run", pictures)
    picture = next(path for path in castings.rglob("*") if path.suffix in (".png", ".jpeg"))
    shutil.rmtree(pictures)
    words = [f"model={run}", f"source={picture}", f"out={tmp_path / 'out.csv'}"]
    assert predict.main([*words, f"heatmaps.to={tmp_path / 'maps'}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(pictures) in line
    assert "a bundle needs none" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert predict.main(words) == 0  # verdicts take none


def test_a_runtime_that_the_bundle_is_not_for_is_named(bundle: Path) -> None:
    with pytest.raises(UserError, match="holds no model for tensorrt"):
        Scorer(bundle, runtime="tensorrt")


def test_a_runtime_that_is_missing_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casting_inspect.deployment.runtimes._missing", lambda name: [name])
    with pytest.raises(
        UserError, match=r'is not installed: pip install "casting-inspect\[export\]"'
    ):
        Scorer(bundle)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_is_neither_bundle_nor_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no such folder|neither a bundle"):
        scorer_of(tmp_path / name)


def test_a_band_and_a_window_go_all_the_way(castings: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    decision = {"rule": "review", "threshold": 0.8, "threshold_low": 0.3}
    run = make_run(
        tmp_path / "run", castings, decision=decision, window=[100.0, 4000.0], fit="stretch"
    )
    out = tmp_path / "bundle"
    assert export.main([f"run={run}", f"out={out}", "format=onnx", "precision=fp32"]) == 0
    run_scorer, scorer = scorer_of(run), Scorer(out)
    assert scorer.limits == run_scorer.limits
    assert scorer.limits.low < scorer.limits.high
    assert scorer.window == (100.0, 4000.0)
    pictures = [drawn(seed, 60, 120, colour=True) for seed in range(60)]
    said = [verdict.verdict for verdict in scorer(pictures)]
    assert said == [verdict.verdict for verdict in run_scorer(pictures)]
    assert len(set(said)) > 1
