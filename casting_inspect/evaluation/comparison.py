"""Models compared on the same test files, each against one reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from casting_inspect.errors import UserError, suggestion
from casting_inspect.evaluation.contenders import FLOOR, Contender, contender
from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.significance import Outcome, tests_against


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; ``reference`` is a contender's name."""

    contenders: tuple[Contender, ...]
    reference: str
    tests: tuple[Outcome, ...]

    def named(self, name: str) -> Contender:
        """Return the contender of that name."""
        return next(one for one in self.contenders if one.name == name)


def compare(models: Mapping[str, Sequence[Run]], reference: str | None = None) -> Comparison:
    """Measure every model and test each against the reference.

    Args:
        models: Runs by model (``variants.named``), on the same test files.
        reference: A model's name; None for the grey histogram's floor, else another floor, else
            the first name: never the best, which would be chosen on the test files.

    Raises:
        UserError: If no model has the reference's name.
    """
    chosen = reference or default_reference(list(models))
    if chosen not in models:
        known = ", ".join(models)
        raise UserError(
            f"reference={chosen}: no such model here; there are {known}."
            f"{suggestion(chosen, models)}"
        )
    order = sorted(models, key=lambda name: (name != chosen, name))
    contenders = tuple(contender(name, models[name]) for name in order)
    return Comparison(contenders, chosen, tests_against(contenders[0], contenders[1:]))


def default_reference(names: Sequence[str]) -> str:
    """Return the reference that is taken unless another is asked for."""
    floors = sorted(name for name in names if name.startswith(FLOOR))
    histogram = [name for name in floors if name.startswith("floor_histogram")]
    return (histogram or floors or sorted(names))[0]
