"""Which networks can be trained as a backbone and a head apart."""

from __future__ import annotations

from torch import nn

from casting_inspect.models.protocol import is_split


def test_a_plain_module_is_not_split() -> None:
    assert not is_split(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))


def test_every_attribute_of_the_interface_counts() -> None:
    class Almost(nn.Module):
        cache_layer = "pooled"
        pretrained = True
        weights_name = "none"
        weights_digest = "none"

        def backbone_features(self, images):  # type: ignore[no-untyped-def]
            return images

        def head_logits(self, features):  # type: ignore[no-untyped-def]
            return features

        def head_modules(self):  # type: ignore[no-untyped-def]
            return []

    class Whole(Almost):
        def stages(self):  # type: ignore[no-untyped-def]
            return []

    assert not is_split(Almost())
    assert is_split(Whole())
