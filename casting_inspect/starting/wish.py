"""What a start is asked for, and where its files go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casting_inspect.data.archive import is_within
from casting_inspect.starting.enough import Limits
from casting_inspect.starting.proposal import Words


def place_for(source: Path) -> Path:
    """Return where everything goes if nobody says: NAME_inspected in the working folder.

    Beside the source where the working folder lies in it: nothing is put among the pictures.
    """
    whole = source.resolve()
    name = Path(f"{whole.stem or 'start'}_inspected")
    return whole.parent / name if is_within(Path.cwd(), whole) else name


@dataclass(frozen=True)
class Wish:
    """What the user wants.

    Attributes:
        source: Folder or zip file of pictures.
        out: Where everything goes.
        words: What he says of his names.
        weights: As ``model.weights``.
        image_size: As ``model.image_size``; None leaves the choice to the time there is.
        limits: What the line asks for.
        minutes: How long it may take, about.
        cache: As ``cache.dir``.
        typed: The words after ``casting-inspect start``, as they were typed.
    """

    source: Path
    out: Path
    words: Words
    weights: str
    image_size: int | None
    limits: Limits
    minutes: float
    cache: str | None = None
    typed: tuple[str, ...] = ()

    @property
    def pictures(self) -> Path:
        """Where the prepared pictures are."""
        return self.out / "pictures"

    @property
    def audit(self) -> Path:
        """Where the audit is."""
        return self.out / "audit"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.out / "run"

    @property
    def record(self) -> Path:
        """Where it is kept what was agreed on."""
        return self.out / "start.json"

    @property
    def log(self) -> Path:
        """Where all lines of all steps go."""
        return self.out / "start.log"

    def asked(self) -> dict[str, Any]:
        """Return what makes one start another, as plain data."""
        return {
            "source": str(self.source.resolve()),
            **self.words.plain(),
            "model.weights": self.weights,
            "model.image_size": self.image_size,
            "decide.max_escape": self.limits.max_escape,
        }
