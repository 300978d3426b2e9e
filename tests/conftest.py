"""Shared by all tests: a cache of their own, and a small set of synthetic castings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # other work on the machine is no failure
settings.load_profile("unhurried")
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep caches out of the user's own; processes that tests start inherit it."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("CASTING_INSPECT_CACHE")
    os.environ["CASTING_INSPECT_CACHE"] = str(folder)
    yield folder
    if before is None:
        os.environ.pop("CASTING_INSPECT_CACHE")
    else:
        os.environ["CASTING_INSPECT_CACHE"] = before


@pytest.fixture(scope="session")
def castings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root: 24 synthetic castings, 2 photographs of each, 96 px."""
    from casting_inspect.data.synthetic import SyntheticConfig, write_castings

    out = tmp_path_factory.mktemp("castings") / "set"
    return write_castings(SyntheticConfig(parts=24, photographs=2, size=96), out)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the real pictures and weights, or skip."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("CASTING_INSPECT_SHARED", default))
    if not (folder / "data" / "casting_product_kaggle.zip").exists():
        pytest.skip(f"no real pictures in {folder} (CASTING_INSPECT_SHARED names another folder)")
    return folder
