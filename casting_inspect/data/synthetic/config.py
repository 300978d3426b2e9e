"""What a set of synthetic castings is: configuration, random streams, roster of parts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from casting_inspect.errors import UserError

GENERATOR_VERSION: Final = 7
"""Raised whenever the same configuration would give other pictures: it is part of the cache key."""

DefectKind = Literal["blow_hole", "pinholes", "chipped_rim", "flash", "scratch"]
KINDS: Final[tuple[DefectKind, ...]] = ("blow_hole", "pinholes", "chipped_rim", "flash", "scratch")

SMALLEST: Final = 0.02
"""Smallest defect: its largest extent as a share of the part's diameter."""
LARGEST: Final = 0.20
"""Largest defect: its largest extent as a share of the part's diameter."""

Purpose = Literal["roster", "identity", "defect", "photograph", "sensor"]
_PURPOSES: Final[tuple[Purpose, ...]] = ("roster", "identity", "defect", "photograph", "sensor")
_BLOCK: Final = 10


@dataclass(frozen=True)
class SyntheticConfig:
    """A set of synthetic castings; the defaults are the set of demo, tests and benchmarks.

    Attributes:
        parts: Number of physical castings; each is one group.
        photographs: Pictures of each casting, every one with its own pose and light.
        size: Side of a picture in pixels; at least 64.
        seed: Seed of everything random, 0 or above.
        defective_share: Share of the castings that have a defect, 0 to 1.
    """

    parts: int = 400
    photographs: int = 3
    size: int = 256
    seed: int = 0
    defective_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that no set can have.

        Raises:
            UserError: If a value is out of its range.
        """
        limits = {"parts": 1, "photographs": 1, "size": 64, "seed": 0}
        for name, low in limits.items():
            if getattr(self, name) < low:
                raise UserError(
                    f"synthetic castings: {name}={getattr(self, name)} is too small; "
                    f"give {low} or more"
                )
        if not 0.0 <= self.defective_share <= 1.0:
            raise UserError(
                f"synthetic castings: defective_share={self.defective_share} is no share; "
                "give a number from 0 to 1"
            )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SyntheticConfig:
        """Return the set of a ``data.synthetic`` node; what is None takes its default."""
        return cls(**{key: value for key, value in options.items() if value is not None})


def config_digest(config: SyntheticConfig) -> str:
    """Return 64 hexadecimal digits that name the set: its configuration and the generator."""
    known = {"generator": GENERATOR_VERSION, **dataclasses.asdict(config)}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """Return the random stream of one purpose: the same for the same arguments, anywhere.

    Class, identity, defect, pose and light have streams of their own, so none can tell of another.

    Args:
        seed: Seed of the whole set.
        purpose: What is drawn.
        numbers: Part, then photograph, as far as the purpose depends on them.
    """
    key = np.random.SeedSequence([seed, _PURPOSES.index(purpose), *numbers])
    return np.random.Generator(np.random.Philox(key))


def part_kind(config: SyntheticConfig, part: int) -> DefectKind | None:
    """Return the defect kind of a part, or None for a good one.

    Parts are dealt in shuffled blocks of ten, so that any ``10 k`` first parts hold the asked share
    of defective ones (to one part), and kinds in shuffled blocks of five. The result does not
    depend on the number of parts in the set: a larger set only adds parts.

    Args:
        config: The set.
        part: Number of the part, 0 or above.
    """
    block, place = divmod(part, _BLOCK)
    slot = block * _BLOCK + int(stream(config.seed, "roster", 0, block).permutation(_BLOCK)[place])
    # the small addition keeps 0.1 * 10 on the right side of 1
    earlier = math.floor(slot * config.defective_share + 1e-9)
    if math.floor((slot + 1) * config.defective_share + 1e-9) == earlier:
        return None
    round_, turn = divmod(earlier, len(KINDS))
    return KINDS[int(stream(config.seed, "roster", 1, round_).permutation(len(KINDS))[turn])]


def draw_size(rng: np.random.Generator) -> float:
    """Draw a defect's largest extent as a share of the part's diameter, log-uniform."""
    return float(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
