"""Two runs are the same by what decides their figures, and by nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from casting_inspect.config import conf_dir, resolved
from casting_inspect.errors import UserError
from casting_inspect.identity import (
    NEVER_MATTERS,
    digest_of,
    first_difference,
    identity,
    register_resolver,
    run_digest,
)
from casting_inspect.schemas import register


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "castings"
    for label in ("normal", "defective"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(label.encode())
    table = "path,label,group\nnormal/1.png,normal,a\ndefective/1.png,defective,b\n"
    (folder / "manifest.csv").write_text(table, encoding="utf-8")
    return folder


def composed(*overrides: str) -> DictConfig:
    register()
    register_resolver()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(overrides))


def of(root: Path, *overrides: str) -> dict[str, str]:
    return identity(composed("model=cnn", f"data.root={root}", *overrides))


@pytest.mark.parametrize(
    "word",
    [
        "cache.dir=/elsewhere",
        "logger=none",
        "callbacks.progress_bar=false",
        "resume=auto",
        "jobs=4",
        "objective=group_log_loss",
        "data.workers=3",
        "trainer.devices=[1]",
        "trainer.log_every_n_steps=1",
    ],
)
def test_what_decides_no_figure_is_left_out(root: Path, word: str) -> None:
    assert of(root, word) == of(root)
    plain = composed("model=cnn", f"data.root={root}")
    assert run_digest(composed("model=cnn", f"data.root={root}", word)) == run_digest(plain)


@pytest.mark.parametrize(
    "word",
    ["seed=1", "data.fold=1", "model.dropout=0.25", "augment=none", "trainer.max_epochs=3"],
)
def test_what_decides_figures_is_not(root: Path, word: str) -> None:
    assert of(root, word)["digest"] != of(root)["digest"]
    plain = composed("model=cnn", f"data.root={root}")
    assert run_digest(composed("model=cnn", f"data.root={root}", word)) != run_digest(plain)


def test_every_key_that_is_left_out_exists() -> None:
    config = composed()
    for key in set(NEVER_MATTERS) - {"hydra"}:
        assert OmegaConf.select(config, key, default="absent") != "absent", key


def test_the_same_pictures_elsewhere_are_the_same_run(root: Path) -> None:
    moved = root.with_name("moved")
    shutil.copytree(root, moved)
    assert of(moved) == of(root)
    header, *rows = (moved / "manifest.csv").read_text(encoding="utf-8").splitlines()
    turned = "\n".join([header, *reversed(rows)]) + "\n"
    (moved / "manifest.csv").write_text(turned, encoding="utf-8")
    assert of(moved) == of(root)


def change_picture(root: Path) -> None:
    (root / "normal" / "1.png").write_bytes(b"another")


def change_group(root: Path) -> None:
    path = root / "manifest.csv"
    path.write_text(path.read_text().replace("normal,a", "normal,b"), encoding="utf-8")


def remove_picture(root: Path) -> None:
    (root / "normal" / "1.png").unlink()


@pytest.mark.parametrize("change", [change_picture, change_group, remove_picture])
def test_other_pictures_or_groups_are_another_run(root: Path, change: Any) -> None:
    before = of(root)
    change(root)
    after = of(root)
    assert after["data"] != before["data"]
    assert after["digest"] != before["digest"]
    assert after["settings"] == before["settings"]


def test_weights_count_by_content(root: Path, tmp_path: Path) -> None:
    def found(name: str) -> dict[str, str]:
        words = (f"data.root={root}", f"model.weights={tmp_path / name}")
        return identity(composed("model=vgg19", *words))

    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    assert found("a.pth") == found("b.pth")
    assert found("a.pth")["digest"] != found("c.pth")["digest"]
    assert identity(composed(f"data.root={root}"))["weights"] == "imagenet"


def test_pictures_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        of(tmp_path / "nowhere")


def test_synthetic_castings_are_pictures_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["data.synthetic.parts=2", "data.synthetic.photographs=1", "data.synthetic.size=64"]
    first = identity(composed("model=cnn", *small))
    assert first == identity(composed("model=cnn", *small))
    assert first["data"] != identity(composed("model=cnn", *small, "data.synthetic.seed=9"))["data"]


def test_the_first_setting_that_differs_is_named(root: Path) -> None:
    one = composed("model=cnn", f"data.root={root}")
    other = composed("model=cnn", f"data.root={root}", "model.dropout=0.5", "logger=none")
    assert first_difference(resolved(one), one) is None
    assert first_difference(resolved(one), other) == (
        f"model.dropout={one.model.dropout}, now {other.model.dropout}"
    )
    assert first_difference({}, one) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), VALUES))
def test_the_order_of_keys_changes_no_digest(values: dict[str, Any]) -> None:
    turned = dict(reversed(list(values.items())))
    assert digest_of(turned) == digest_of(values)
    assert digest_of({**values, "one more": 1}) != digest_of(values)
