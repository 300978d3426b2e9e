"""What several end-to-end tests need."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import vgg19


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file in the layout of VGG-19's features; what it has learnt does not matter here."""
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.manual_seed(0)
    torch.save(vgg19(weights=None).features.state_dict(), path)
    return path
