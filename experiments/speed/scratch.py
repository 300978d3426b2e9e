"""How many pictures a second does the from-scratch baseline train on, end to end?

    python experiments/speed/scratch.py

Our `cnn` at 128 pixels in our loop, in plain Lightning with ImageFolder, and in our loop with every
batch at hand already: what the network alone takes. Whole epochs in turn, the first not counted.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import ours
from castings import count_of, folder_of
from ceilings import device
from peers import plain_lightning
from record import Goal, rated, write
from settings import REPEATS, pick
from turns import Turned, take_turns, took_turn

PICTURES = pick(512, 24)
BATCH = pick(32, 4)
PIXELS = pick(128, 64)
LIGHTNING = "plain Lightning, ImageFolder, float32"


def words() -> list[str]:
    """Return the overrides; every picture trains."""
    return [
        *("model=cnn", "augment=light", f"data.batch_size={BATCH}", "data.test_fraction=0.1"),
        *(f"model.image_size={PIXELS}", "trainer.max_epochs=1000"),
    ]


def candidate(name: str, pictures: str, run: str) -> None:
    """Run one candidate's loop, in its own process."""
    root = Path(pictures)
    epochs = partial(Turned, epochs=True)
    if name == "plain":
        from casting_inspect.models.cnn import SmallCnn

        plain_lightning(SmallCnn(), root, PIXELS, BATCH, 1_000, epochs)
        return
    loop = ours.loop(root, Path(run), words())
    if name == "ours":
        loop.fit(epochs)
    else:
        loop.fit(lambda loader: epochs(list(loader)))


def main() -> None:
    """Measure and write results/scratch.csv."""
    if took_turn(candidate):
        return
    with tempfile.TemporaryDirectory() as name:
        root = folder_of(Path(name) / "pictures", PICTURES)
        count = count_of(root)
        given = {key: [str(root), str(Path(name) / key)] for key in ("ours", "plain", "network")}
        found = take_turns(__file__, given, REPEATS)
    trained = count - round(0.1 * count)
    epoch, network = found["ours"].times, found["network"].times
    row = rated(
        f"`cnn` from scratch, {PIXELS} px, end to end",
        epoch,
        trained,
        LIGHTNING,
        found["plain"].times.per(count / trained),
        goal=Goal("at least", 3),
        share=network.median / epoch.median,
        ceiling="the network alone, batches at hand",
        peak_mib=found["ours"].peak_mib,
        device=device().type,
    )
    note = "the share is how much of an epoch the network itself takes"
    write("scratch", [replace(row, note=note)])


if __name__ == "__main__":
    main()
