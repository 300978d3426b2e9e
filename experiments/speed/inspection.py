"""How fast is a folder of pictures inspected, from files to a table, and is decoding hidden?

    python experiments/speed/inspection.py

A folder of 512-px JPEG files through VGG-19 `gap` at 224 px: as everybody writes it (OpenCV, then
eager PyTorch in float32, a batch at a time), by `predict` with a bundle, and, as its ceiling, the
same bundle on pictures that lie decoded and resized in memory. Each in a process of its own, in
turn.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
from deployment import EAGER, EIGHT, FLOAT, asked, make, pictures
from record import Goal, Row, rated, write
from settings import SIDE, pick
from turns import Turns, steps, take_turns, took_turn

FILES: Final = pick(96, 8)
PIXELS: Final = pick(512, 96)
"""Side of a picture as a camera writes it."""
BATCH: Final = 8
ALONE: Final = "alone"


def write_files(folder: Path) -> None:
    """Write JPEG files with the detail of a photograph: castings' edges and a sensor's noise."""
    import cv2

    folder.mkdir()
    random = np.random.default_rng(1)
    some = pictures()
    for number in range(FILES):
        large = cv2.resize(some[number % len(some)], (PIXELS, PIXELS)).astype(np.float32)
        noisy = np.clip(large + random.normal(0, 4, large.shape), 0, 255).astype(np.uint8)
        if not cv2.imwrite(str(folder / f"{number:04d}.jpg"), noisy):
            raise OSError(f"{folder}: a picture could not be written")


def inspect(name: str, kind: str, folder: str) -> None:
    """Inspect all pictures once a turn, by one of the ways."""
    where = Path(folder)
    if kind == ALONE:
        judge: Any = asked(name, where)
        many = np.stack([*itertools.islice(itertools.cycle(pictures()), FILES)])
        judge(many[:BATCH])
        steps(lambda: [judge(many[at : at + BATCH]) for at in range(0, FILES, BATCH)])
    elif name == EAGER:
        judge = asked(name, where)
        files = sorted((where / "files").iterdir())
        steps(lambda: [judge(read(files[at : at + BATCH])) for at in range(0, FILES, BATCH)])
    else:
        predict(name, where)


def read(files: list[Path]) -> np.ndarray:
    """Decode and resize a batch as everybody does."""
    import cv2

    found = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]
    return np.stack(
        [cv2.resize(each, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for each in found]
    )


def predict(name: str, where: Path) -> None:
    """Inspect the folder a turn as the command does, the bundle open already."""
    from casting_inspect.deployment import Scorer
    from casting_inspect.deployment.inspect import Wanted
    from casting_inspect.deployment.inspect import inspect as inspect_folder
    from casting_inspect.deployment.sources import open_items
    from casting_inspect.deployment.stream import Pace

    scorer = Scorer(where / name)
    number = itertools.count()

    def once() -> None:
        table = Path(scratch) / f"{next(number)}.csv"
        stop = threading.Event()
        items = open_items(str(where / "files"))
        wanted = Wanted(table, progress=False)
        done = inspect_folder(items, lambda: scorer, wanted, Pace(), lambda _: None, stop=stop)
        assert done.tally.done == FILES

    with tempfile.TemporaryDirectory() as scratch:
        steps(once)


def rows_of(found: dict[str, Turns]) -> list[Row]:
    """Return a row a way, in pictures a second, and as a share of the network alone."""
    eager = found[EAGER].times
    rows = [rated(f"folder, {EAGER}", eager, FILES, peak_mib=found[EAGER].peak_mib)]
    goals = {FLOAT: Goal("at least", 1.2), EIGHT: Goal("at least", 4)}
    for name, goal in goals.items():
        ours, alone = found[name].times, found[f"{name}, {ALONE}"].times
        share = alone.median / ours.median
        hidden = {"share": share, "ceiling": "the network alone, pictures at hand"}
        more: dict[str, Any] = {**hidden, "peak_mib": found[name].peak_mib}
        rows.append(
            rated(f"folder, {name}", ours, FILES, f"{EAGER}, a folder", eager, goal=goal, **more)
        )
        decoding = rated(f"folder, {name}, decoding hidden", ours, FILES, **hidden)
        rows.append(Row(**{**vars(decoding), "goal": Goal("at least", 0.85, "share")}))
    return rows


def main() -> None:
    """Measure and write results/inspection.csv."""
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        make(where)
        write_files(where / "files")
        ways = {EAGER: ["all", name]}
        for bundle in (FLOAT, EIGHT):
            ways |= {bundle: ["all", name], f"{bundle}, {ALONE}": [ALONE, name]}
        found = take_turns(__file__, ways)
    write("inspection", rows_of(found))


def turn(label: str, kind: str, folder: str) -> None:
    """Take the turns of one way."""
    inspect(label.removesuffix(f", {ALONE}"), kind, folder)


if __name__ == "__main__":
    if not took_turn(turn):
        main()
