"""Make the documentation's pictures, of synthetic castings only.

    python docs/pictures.py CHROMIUM

The pages of a small study are made as a user makes them and photographed by a browser.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent / "pictures"
WIDTH = 1180
CASTINGS = [
    "recipe=synthetic",
    "synthetic.parts=90",
    "synthetic.photographs=3",
    "synthetic.size=192",
]
NETWORK = ["model=cnn", "data.fold=all", "data.inner_folds=1", "callbacks.progress_bar=false"]


def study(here: Path) -> dict[str, tuple[Path, int]]:
    """Run the commands, and return each page with the height that is shown of it."""
    run("prepare", *CASTINGS, "out=castings", cwd=here)
    run("audit", "data.root=castings", "out=audit", cwd=here)
    words = ["data.root=castings", "hydra.run.dir=sweep"]
    run("train", *NETWORK, words[0], f"{words[1]}/cnn", cwd=here)
    run("train", "model=floor_histogram", "data.fold=all", words[0], f"{words[1]}/floor", cwd=here)
    run("compare", "runs=sweep", "out=comparison", cwd=here)
    run("plan", "max_escape=0.05", "expected_escape=0.01", cwd=here)
    return {
        "audit": (here / "audit" / "audit.html", 1500),
        "report": (here / "sweep" / "cnn" / "report.html", 1900),
        "comparison": (here / "comparison" / "comparison.html", 1500),
        "plan": (here / "plan" / "plan.html", 1300),
    }


def run(*words: str, cwd: Path) -> None:
    """Run a command of this package."""
    subprocess.run([sys.executable, "-m", "casting_inspect", *words], cwd=cwd, check=True)


def photograph(browser: str, page: Path, height: int, out: Path) -> None:
    """Save the top of a page as a small PNG file."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-background-networking", f"--user-data-dir={profile}",
             f"--window-size={WIDTH},{height}", f"--screenshot={out}", page.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    with Image.open(out) as picture:
        picture.convert("RGB").quantize(128).save(out, optimize=True)


def main() -> int:
    """Make all pictures."""
    if len(sys.argv) != 2:
        print("python docs/pictures.py CHROMIUM", file=sys.stderr)
        return 2
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for title, (page, height) in study(Path(name)).items():
            photograph(sys.argv[1], page, height, HERE / f"{title}.png")
            print(f"docs/pictures/{title}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
