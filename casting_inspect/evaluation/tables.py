"""The figures of an evaluation as tables on the screen, in the words of the shop floor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from casting_inspect.evaluation.line_screen import consequence_sentences, slice_warnings
from casting_inspect.percent import percent

REPORTED: Final = ("test", "val", "train")
"""The split that figures and tables show in full: the first of these that is present."""
_NAMES: Final = {"train": "training", "val": "validation", "test": "test"}
_BY_GROUP: Final = (
    ("escape_rate", "Escape rate (defective that pass)"),
    ("overkill_rate", "Overkill rate (normal rejected)"),
    ("balanced_accuracy", "Balanced accuracy"),
    ("auroc", "Area under the ROC curve"),
)
_BY_FILE: Final = (
    ("accuracy", "Accuracy"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("f1", "F1"),
    ("escape_rate", "Escape rate (defective that pass)"),
    ("overkill_rate", "Overkill rate (normal rejected)"),
)


_MODELS: Final = {
    "floor_histogram": "Floor: grey histogram",
    "floor_background": "Floor: background alone",
    "floor_pixels": "Floor: 32 x 32 pixels",
}


def reported_split(metrics: Mapping[str, Any]) -> str:
    """Return the split to show in full: test, else validation, else training."""
    return next(split for split in REPORTED if split in metrics)


def print_metrics(
    metrics: Mapping[str, Mapping[str, Any]], console: Console | None = None, note: str = ""
) -> None:
    """Print the headline by group, the paper's figures by file and the confusion table.

    The test split is shown in full (else validation, else training), the others in a line each.
    Where the metrics know of a leak, it stands right under the headline, with the floors.

    Args:
        metrics: What ``metrics.all_metrics`` returns, and as far as known ``leak``,
            ``second_look`` (see `leak_sentences`) and ``floors``.
        console: Where to print; by default standard output.
        note: A line under the headline.
    """
    screen = console or Console()
    shown = reported_split(metrics)
    figures = metrics[shown]
    screen.print(_headline(shown, _under_headline(figures)))
    if any(figures[f"{key}_by_group"].get("approximate") for key, _ in _BY_GROUP):
        _remark(screen, "~ approximate: too few groups, or too few with an error, to be sure.")
    for sentence in consequence_sentences(figures):
        screen.print(Padding(Text(sentence), (0, 1)))
    if note:
        screen.print(Padding(Text(note, style="bold yellow"), (0, 1)))
    for sentence in slice_warnings(metrics.get("slices", {})):
        screen.print(Padding(Text(sentence, style="bold yellow"), (0, 1)))
    style = "bold yellow" if metrics.get("leak", {}).get("files") else ""
    for sentence in leak_sentences(metrics):
        screen.print(Padding(Text(sentence, style=style), (0, 1)))
    if metrics.get("floors"):
        screen.print()
        screen.print(_floors(figures, metrics["floors"]))
    screen.print()
    screen.print(_by_file(figures))
    screen.print()
    screen.print(_confusion(figures))
    others = [split for split in REPORTED if split in metrics and split != shown]
    if others:
        screen.print()
        screen.print(_other_splits({split: metrics[split] for split in others}))


def leak_sentences(metrics: Mapping[str, Any]) -> list[str]:
    """Return what the split leaks, and what follows, a line for each way of looking.

    Args:
        metrics: ``leak`` and ``second_look`` as far as known: ``files`` of the ``part`` that have,
            or seem to have, a copy in training, ``of`` how many, and their ``share``; for the
            leak, where ``groups`` are from: ``manifest`` or ``audit``.
    """
    lines = []
    if "leak" in metrics:
        leak = metrics["leak"]
        found = "by the audit" if leak["groups"] == "audit" else "by the manifest's groups"
        follows = ": figures on this split say little about a new casting; data.split=group does"
        lines.append(
            f"{percent(leak['share'], 1)} of the {leak['of']:,} {_NAMES[leak['part']]} files have "
            f"a copy of their photograph or casting in training, {found}"
            f"{follows if leak['files'] else ''}."
        )
    if "second_look" in metrics:
        look = metrics["second_look"]
        lines.append(
            f"A second method, apart from the search for groups, suspects a copy in training of "
            f"{look['files']:,} of {look['of']:,} {_NAMES[look['part']]} files "
            f"({percent(look['share'], 1)})."
        )
    return lines


def floor_sentence(floors: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what floors get on the same files, in one line."""
    each = [
        f"{_MODELS.get(name, name).removeprefix('Floor: ')} {percent(figures['accuracy'])}"
        for name, figures in floors.items()
    ]
    return f"Accuracy of floors on the same files: {', '.join(each)}."


def _floors(figures: Mapping[str, Any], floors: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the model's figures by file above those of floors, fitted and tested on its files."""
    table = _table("Beside floors that know nothing of defects, on the same files")
    for column in ("", "accuracy", "escape rate", "overkill rate", "AUROC"):
        table.add_column(column, justify="right" if column else "left")
    for name, of_model in {"This model": figures, **floors}.items():
        rates = (percent(of_model[key]) for key in ("accuracy", "escape_rate", "overkill_rate"))
        table.add_row(_MODELS.get(name, name), *rates, _short("auroc", of_model["auroc"]))
    return table


def _under_headline(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return a split's figures, those by group under the grouping that the headline is under."""
    wide = figures.get("headline", {}).get("grouping") == "group_wide"
    return {**figures, **(figures["by_group_wide"] if wide else {})}


def _headline(split: str, figures: Mapping[str, Any]) -> Table:
    title = f"{_NAMES[split].capitalize()}: by group, every photograph or casting weighs the same"
    table = _table(title)
    table.add_column("")
    table.add_column("figure", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("groups", justify="right")
    normal, defective = figures["n_groups_normal"], figures["n_groups_defective"]
    counts = (
        f"{defective:,}",
        f"{normal:,}",
        f"{figures['n_groups']:,}",
        f"{figures['n_groups']:,}",
    )
    for (key, words), groups in zip(_BY_GROUP, counts, strict=True):
        figure = figures[f"{key}_by_group"]
        table.add_row(words, _short(key, figure["value"]), _interval(key, figure), groups)
    return table


def _by_file(figures: Mapping[str, Any]) -> Table:
    table = _table("By file, as in the paper (positive = normal)")
    table.add_column("")
    table.add_column("figure", justify="right")
    table.add_column("files", justify="right")
    counts = figures["confusion"]
    tp, fn, fp, tn = (counts[key] for key in ("TP", "FN", "FP", "TN"))
    ratios = {
        "accuracy": (tp + tn, tp + fn + fp + tn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "escape_rate": (fp, fp + tn),
        "overkill_rate": (fn, tp + fn),
    }
    decimals = min(3, max(1, len(str(figures["n"])) - 1))  # no finer than one file's weight
    for key, words in _BY_FILE:
        of = f"{ratios[key][0]:,} of {ratios[key][1]:,}" if key in ratios else ""
        table.add_row(words, percent(figures[key], decimals), of)
    files, groups = figures["n"], figures["n_groups"]
    worth = f"they count like {figures['n_groups_effective']:,.0f} groups of equal size."
    alone = "every file is taken as its own group: copies of one photograph are not seen."
    table.caption = f"{files:,} files of {groups:,} groups; {alone if files == groups else worth}"
    return table


def _confusion(figures: Mapping[str, Any]) -> Table:
    threshold = figures["threshold"]
    if "review" in figures:
        return _with_a_person(figures["review"], threshold)
    rule = "its row's threshold" if threshold is None else f"{threshold:.6g}"
    table = _table("Confusion table, files (rows = truth, columns = verdict)")
    table.add_column("")
    table.add_column("passed as normal", justify="right")
    table.add_column("rejected as defective", justify="right")
    counts = {key: f"{value:,}" for key, value in figures["confusion"].items()}
    table.add_row("truly normal", counts["TP"], f"{counts['FN']} overkill")
    table.add_row("truly defective", f"{counts['FP']} escape", counts["TN"])
    table.caption = f"A file passes when p_normal is above {rule}."
    return table


def _with_a_person(review: Mapping[str, Any], threshold: float | None) -> Table:
    """Return the confusion table of three verdicts, of files or of parts."""
    unit = review["unit"]
    table = _table(f"Confusion table, {unit}s (rows = truth, columns = verdict)")
    table.add_column("")
    for name in ("passed", "to a person", "rejected"):
        table.add_column(name, justify="right")
    passed, person, rejected = (review["counts"][key] for key in ("passed", "person", "rejected"))
    table.add_row(
        "truly normal",
        f"{passed['normal']:,}",
        f"{person['normal']:,}",
        f"{rejected['normal']:,} overkill",
    )
    table.add_row(
        "truly defective",
        f"{passed['defective']:,} escape",
        f"{person['defective']:,}",
        f"{rejected['defective']:,}",
    )
    lower = review["threshold_low"]
    between = (
        "its row's two thresholds"
        if lower is None or threshold is None
        else f"{lower:.6g} and {threshold:.6g}"
    )
    table.caption = f"A person looks between a p_normal of {between}; above, a {unit} passes."
    return table


def _other_splits(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("The other parts, by file")
    for column in ("", "files", "groups", "accuracy", "escape rate", "overkill rate"):
        table.add_column(column, justify="right" if column else "left")
    for split, figures in metrics.items():
        table.add_row(
            _NAMES[split],
            f"{figures['n']:,}",
            f"{figures['n_groups']:,}",
            *(percent(figures[key]) for key in ("accuracy", "escape_rate", "overkill_rate")),
        )
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        caption_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=True,
    )


def _short(key: str, value: float | None) -> str:
    """Return percent with one decimal, as much as groups carry; AUROC as a share of 1."""
    if key != "auroc":
        return percent(value, 1)
    if value is None:
        return "-"
    return "> 0.9999" if 0.99995 <= value < 1.0 else f"{value:.4f}"


def _interval(key: str, figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return "-"
    low, high = _short(key, figure["low"]), _short(key, figure["high"])
    mark = "~ " if figure.get("approximate") else ""
    return f"{mark}{low.removesuffix(' %')} to {high}"


def _remark(screen: Console, words: str) -> None:
    screen.print(Padding(Text(words, style="dim"), (0, 1)))
