"""From results/*.csv to the tables of README.md and the plots: no figure is typed by hand.

    python experiments/speed/report.py

Whatever script has not been run is named as not measured yet.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from settings import HERE, OUT, RESULTS

Cells = dict[str, str]
BEGIN: Final = "<!-- from results/*.csv by report.py: begin -->"
END: Final = "<!-- end -->"
TITLES: Final = {
    "frozen": "Frozen VGG-19",
    "extraction": "Features",
    "finetune_step": "Full fine-tuning",
    "overhead": "Lightning's overhead",
    "pipeline": "Input pipeline, one core",
    "scratch": "From scratch",
    "evaluation": "Evaluation",
    "startup": "Start",
    "deployment": "Deployment",
    "inspection": "A folder of pictures",
    "breakdown": "Where the time goes",
    "memory": "Memory",
    "gpu": "GPU",
    "curves": "Cost curves",
    "ceilings": "Ceilings",
}
HEADINGS: Final = ("what", "ours", "peer", "theirs", "times better", "share of ceiling", "goal", "")
MACHINE: Final = ("processor", "cores", "gpu", "python", "torch", "torchvision", "lightning")


def read(folder: Path = RESULTS) -> dict[str, list[Cells]]:
    """Return the rows of every result that is there, in the order of `TITLES`."""
    tables = {}
    for name in TITLES:
        path = folder / f"{name}.csv"
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as stream:
                tables[name] = list(csv.DictReader(stream))
    return tables


def table(rows: Sequence[Cells]) -> str:
    """Return a Markdown table of comparisons."""
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS))]
    for row in rows:
        share = f"{100 * float(row['share']):.0f} %" if row["share"] else ""
        cells = [
            row["what"],
            quantity(row["ours"], row["unit"]) or "not measured",
            row["peer"],
            quantity(row["theirs"], row["unit"]),
            row["ratio"],
            f"{share} of {row['ceiling']}" if share else "",
            row["goal"],
            {"yes": "met", "no": "**missed**"}.get(row["met"], row["met"]),
        ]
        lines.append(_line(cells))
    return "\n".join(lines)


def notes(rows: Sequence[Cells]) -> str:
    """Return what stands under a table: each remark once, with its row where there are several."""
    found = {row["note"]: row["what"] for row in reversed(rows) if row["note"]}
    lines = [f"{what}: {note}" if len(found) > 1 else note for note, what in found.items()]
    return "".join(f"\n- {line}" for line in reversed(lines))


def curve_table(rows: Sequence[Cells]) -> str:
    """Return a Markdown table of time and memory by stage and number of pictures."""
    lines = [_line(("stage", "pictures", "s", "MiB")), _line(["---"] * 4)]
    lines += [_line((row["what"], row["pictures"], row["ours"], row["peak_mib"])) for row in rows]
    return "\n".join(lines)


def text(tables: dict[str, list[Cells]]) -> str:
    """Return all tables, what was measured on which machine, and which goals are met."""
    judged = [row for rows in tables.values() for row in rows if row["met"]]
    count = {word: sum(row["met"] == word for row in judged) for word in ("yes", "no")}
    absent = len(judged) - sum(count.values())
    parts = [f"Goals met: {count['yes']}; missed: {count['no']}; not measured: {absent}."]
    missing = [title for name, title in TITLES.items() if name not in tables]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    for name, rows in tables.items():
        points, others = split_curves(name, rows)
        parts.append(f"### {TITLES[name]}")
        if points:
            parts += ["![cost curves](curves.png)", curve_table(points)]
        if others:
            parts.append(table(others) + "\n" + notes(others))
    if (OUT / "ratios.png").is_file():
        parts.insert(1, "![how much faster than each peer](ratios.png)")
    parts.append(machines([row for rows in tables.values() for row in rows]))
    return "\n\n".join(part.rstrip() for part in parts)


def split_curves(name: str, rows: Sequence[Cells]) -> tuple[list[Cells], list[Cells]]:
    """Return the points of the cost curves, and the rows that are comparisons."""
    points = [row for row in rows if name == "curves" and not row["goal"]]
    return points, [row for row in rows if row not in points]


def machines(rows: Sequence[Cells]) -> str:
    """Return what the figures were measured on; more than one machine or commit is said."""
    found = dict.fromkeys(
        (", ".join(f"{key} {row[key]}" for key in MACHINE), row["commit"]) for row in rows
    )
    return "\n".join(f"Measured at commit {commit} on: {machine}." for machine, commit in found)


def quantity(value: str, unit: str) -> str:
    """Return a value with its unit, or nothing without a value."""
    return f"{value} {unit}".strip() if value else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def replaced(readme: str, generated: str) -> str:
    """Return a README with what stands between the marks replaced.

    Raises:
        ValueError: If the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def main() -> None:
    """Write README.md and the plots."""
    from plots import draw_curves, draw_ratios

    from casting_inspect.files import replace_text

    tables = read()
    draw_curves(split_curves("curves", tables.get("curves", []))[0], OUT / "curves.png")
    draw_ratios([row for rows in tables.values() for row in rows], OUT / "ratios.png")
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    replace_text(OUT / "README.md", replaced(readme, text(tables)))
    print(f"{sum(map(len, tables.values()))} rows: README.md, curves.png, ratios.png")


if __name__ == "__main__":
    main()
