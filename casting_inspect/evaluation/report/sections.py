"""What the report's template is filled with: every number as the words that stand on the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
from markupsafe import Markup

from casting_inspect.evaluation import comparison_tables
from casting_inspect.evaluation.casting_names import casting_names
from casting_inspect.evaluation.claims import claims
from casting_inspect.evaluation.provenance import facts
from casting_inspect.evaluation.report.explorer import explorer_values
from casting_inspect.evaluation.report.gallery import gallery
from casting_inspect.evaluation.report.inline_figure import inline_svg
from casting_inspect.evaluation.report.page_figures import (
    page_figures,
    slices_table,
    stress_table,
)
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.evaluation.report.verdict import error_rates, threshold_words, verdict
from casting_inspect.evaluation.review_figures import review_figures
from casting_inspect.evaluation.stress import breaking_sentences
from casting_inspect.evaluation.tables import floor_sentence, leak_sentences
from casting_inspect.percent import percent

_PARTS: Final = {"train": "training", "val": "validation", "test": "test"}
_SPLITS: Final = {
    "group": "by casting: no photograph or casting is in two parts",
    "file": "by file: copies of a test picture's photograph can be in training",
    "vendor": "as delivered: copies of a test picture's photograph can be in training",
    "lot": "by lot: each left out in turn",
    "time": "by time: trained before a date, tested after it",
    "manifest": "as the manifest says",
}
_OF_SCORES: Final = ("scores", "risk", "roc", "precision_recall")
_WORDS: Final = {
    "rates": "Escape and overkill rates with intervals",
    "scores": "Scores by class",
    "risk": "Errors against share judged",
    "roc": "ROC curve",
    "precision_recall": "Precision against recall",
    "reliability": "Reliability diagram",
    "slices": "Rates of slices with intervals",
    "stress": "Escape and overkill against strength",
    "curves": "Accuracy and loss by epoch",
}
"""What a figure shows, for those who cannot see it."""
_VERDICTS: Final = {
    "passed": "passed as normal",
    "person": "left to a person",
    "rejected": "rejected as defective",
}
_BY_FILE: Final = (
    *("accuracy", "precision", "recall", "f1", "specificity"),
    *("escape_rate", "overkill_rate", "balanced_accuracy"),
)
_TWO_VERDICTS: Final = (
    "Escape and overkill rate are of verdicts without a person. The other figures know two "
    "verdicts: what a person looks at counts as rejected."
)


def page_values(source: Source) -> dict[str, Any]:
    """Return what the template is filled with, everything but layout decided."""
    model = str(source.rows["model"].iloc[0])
    drawn = {
        name: inline_svg(figure, name, _WORDS[name])
        for name, figure in page_figures(source).items()
    }
    return {
        "title": f"Inspection report: {model}",
        "lead": _lead(source),
        "verdict": verdict(source),
        "evidence": evidence(source),
        "notes": notes(source),
        "rates": rates(source),
        "rates_figure": drawn["rates"],
        "unit": source.terms.unit,
        "confusion": confusion(source),
        "by_file": by_file(source),
        "by_file_note": "" if source.review is None else _TWO_VERDICTS,
        "line": line(source),
        "review": review(source),
        "explorer": explorer(source),
        "score_figures": [drawn[name] for name in _OF_SCORES if name in drawn],
        "calibration": calibration(source, drawn.get("reliability")),
        "slices": slices(source, drawn.get("slices")),
        "stress": stress(source, drawn.get("stress")),
        "gallery": gallery(source),
        "curves": drawn.get("curves"),
        "facts": provenance(source),
    }


def _lead(source: Source) -> str:
    figures = source.by_group
    parts = f"{len(source.rows):,} parts in " if source.terms.unit == "part" else ""
    return (
        f"{parts}{source.files['path'].nunique():,} {_PARTS[source.split]} files of "
        f"{figures['n_groups_normal']:,} good and {figures['n_groups_defective']:,} defective "
        "photographs or castings."
    )


def evidence(source: Source) -> list[tuple[str, str]]:
    """Return how the figures came about, as ``(what, words)``."""
    data = source.config.get("data") or {}
    split = str(data.get("split") or "")
    castings, folds = source.by_group, source.rows["fold"].nunique()
    tested = (
        f"{folds} models, each tested on the castings that it has not learnt" if folds > 1 else ""
    )
    protocol = source.metrics.get("protocol") or {}
    chosen = str(protocol.get("chosen_on") or "")
    found = [
        (
            "Split",
            _SPLITS.get(split, "not known: the table is another tool's") if split else "not known",
        ),
        ("Folds", tested),
        ("Chosen on", f"epochs and threshold: {chosen}" if chosen else ""),
        ("Threshold", threshold_words(source).removeprefix("threshold ")),
        (
            "Castings",
            f"{castings['n_groups_normal']:,} good, {castings['n_groups_defective']:,} defective; "
            f"{castings['n_groups_effective']:.0f} effective, by files",
        ),
        ("Repeatability", _repeatability(source)),
    ]
    return [(name, words) for name, words in found if words]


def _repeatability(source: Source) -> str:
    found = source.figures.get("repeatability") or {}
    value = found.get("value")
    if value is None:
        return str(found.get("reason") or "repeatability not measured")
    low, high = found.get("low"), found.get("high")
    limits = (
        f" ({percent(low, 1).removesuffix(' %')} to {percent(high, 1)})" if low is not None else ""
    )
    return f"{percent(value, 1)}{limits} of the parts get one verdict in all captures"


def notes(source: Source) -> list[str]:
    """Return the sentences that stand under the evidence: leak, floors, conflicts, claims."""
    split = str((source.config.get("data") or {}).get("split") or "")
    found = leak_sentences(source.metrics)
    if floors := source.metrics.get("floors"):
        found.append(floor_sentence(floors))
    if groups := (source.metrics.get("conflicts") or {}).get("groups"):
        done = source.metrics["conflicts"]["on_conflict"]
        files = sum(group["normal"] + group["defective"] for group in groups)
        named = "castings hold" if len(groups) > 1 else "casting holds"
        found.append(f"{len(groups)} {named} both labels ({files} files; data.on_conflict={done}).")
    return [
        *found,
        *claims(
            source.by_group["n_groups_normal"],
            source.by_group["n_groups_defective"],
            casting_names(source.rows),
            [split] if split else [],
        ),
    ]


def rates(source: Source) -> list[dict[str, str]]:
    """Return the figures by group, a row each."""
    names = {
        "escape_rate": ("Escape rate", "defective castings that pass", "n_groups_defective"),
        "overkill_rate": ("Overkill rate", "good castings rejected", "n_groups_normal"),
        "balanced_accuracy": ("Balanced accuracy", "1 - half of their sum", "n_groups"),
        "auroc": ("AUC over groups", "within a model", "n_groups"),
    }
    escape, overkill = error_rates(source)
    figures = {**source.by_group, **{f"{k}_rate_by_group": v for k, v in
               (("escape", escape), ("overkill", overkill))}}  # fmt: skip
    if source.review is not None:  # half of two sums of three verdicts means nothing
        del names["balanced_accuracy"]
        names["review_rate"] = ("Left to a person", "castings between the thresholds", "n_groups")
        figures["review_rate_by_group"] = source.review["review_rate_by_group"]
    found = []
    for key, (name, words, groups) in names.items():
        figure = figures[f"{key}_by_group"]
        value, limits = comparison_tables.interval(figure, share=key.endswith("rate"))
        count = f"{source.by_group[groups]:,}"
        found.append(
            {"name": name, "words": words, "value": value, "limits": limits, "groups": count}
        )
    return found


_CELLS: Final = {
    "normal": {"passed": ("right", ""), "person": ("none", ""), "rejected": ("wrong", "overkill")},
    "defective": {"passed": ("wrong", "escape"), "person": ("none", ""), "rejected": ("right", "")},
}
"""What a verdict on a casting of a class is: its colour and its name."""


def confusion(source: Source) -> dict[str, Any]:
    """Return the confusion table, files or parts; truth in rows, verdict in columns."""
    counts = source.figures["confusion"]
    by_verdict = {
        "passed": {"normal": counts["TP"], "defective": counts["FP"]},
        "rejected": {"normal": counts["FN"], "defective": counts["TN"]},
    }
    if source.review is not None:
        by_verdict = {name: source.review["counts"][name] for name in _VERDICTS}
    rows = []
    for truth, cells in _CELLS.items():
        total = sum(column[truth] for column in by_verdict.values())
        rows.append(
            {
                "truth": "good" if truth == "normal" else truth,
                "total": f"{total:,}",
                "cells": [
                    {
                        "count": f"{column[truth]:,}",
                        "share": percent(column[truth] / total, 2) if total else "-",
                        "kind": cells[name][0] if column[truth] or cells[name][0] == "right"
                        else "none",
                        "word": cells[name][1],
                    }
                    for name, column in by_verdict.items()
                ],
            }
        )  # fmt: skip
    return {"columns": [_VERDICTS[name] for name in by_verdict], "rows": rows}


def by_file(source: Source) -> list[tuple[str, str]]:
    """Return the paper's figures, by file, normal as positive; what errs by three verdicts."""
    keys, figures = list(_BY_FILE), source.by_file
    if source.review is not None:  # half of two sums of three verdicts means nothing
        seen = review_figures(source.files)
        keys.remove("balanced_accuracy")
        figures = {**figures, **{key: seen[key] for key in ("escape_rate", "overkill_rate")}}
    return [(key.replace("_", " ").capitalize(), percent(figures[key], 2)) for key in keys]


def line(source: Source) -> dict[str, Any] | None:
    """Return what happens to a million parts, None where nothing of it is known."""
    found = source.figures.get("line")
    if not found:
        return None
    rows = [
        ("Defective parts that pass", found["per_million"]["escapes"]),
        ("Good parts rejected", found["per_million"]["good_rejected"]),
    ]
    if source.review is not None:
        rows.append(("Parts that a person looks at", found["per_million"]["person"]))
    rows = [(name, figure) for name, figure in rows if figure["value"] is not None]
    if not rows:
        return None
    cells = [
        (name, f"{one['value']:,.0f}", f"{one['low']:,.0f} to {one['high']:,.0f}")
        for name, one in rows
    ]
    share = found["rejects_truly_defective"]
    if share["value"] is not None:
        limits = f"{percent(share['low'], 1).removesuffix(' %')} to {percent(share['high'], 1)}"
        cells.append(("Rejects that are truly defective", percent(share["value"], 1), limits))
    cost = found.get("cost_per_million")
    if cost and cost["value"] is not None:
        cells.append(
            ("Cost", f"{cost['value']:,.0f}", f"{cost['low']:,.0f} to {cost['high']:,.0f}")
        )
    return {"prevalence": f"{1000 * found['prevalence']:g}", "rows": cells}


def review(source: Source) -> dict[str, str] | None:
    """Return what a person sees and what is judged wrongly without one, if there is a band."""
    found = source.review
    if found is None:
        return None
    automatic = found["automatic"]
    figures = {
        "seen": found["review_rate_by_group"],
        "escape": automatic["escape_rate_by_group"],
        "overkill": automatic["overkill_rate_by_group"],
    }
    words = {key: comparison_tables.interval(figure) for key, figure in figures.items()}
    return {key: f"{value} ({limits})" for key, (value, limits) in words.items()}


def explorer(source: Source) -> dict[str, Any] | None:
    """Return the slider's data, None where a class is missing."""
    if source.rows["label"].nunique() < 2:
        return None
    values = explorer_values(source.rows, source.chosen_on, source.grouping)
    terms = source.metrics.get("terms") or {}
    values["terms"] = {
        "prevalence": float(terms.get("prevalence") or 0.001),
        "cost_escape": terms.get("cost_escape"),
        "cost_overkill": terms.get("cost_overkill"),
    }
    # "<" would end the script element early, whatever it stands in
    data = Markup(json.dumps(values, separators=(",", ":")).replace("<", "\\u003c"))
    curves = [
        {
            "name": curve["name"],
            "kind": kind,
            "points": _polyline(curve[kind]),
        }
        for curve in values["curves"]
        for kind in ("escape", "overkill")
    ]
    return {"data": data, "curves": curves, "ticks": values["ticks"], "terms": values["terms"]}


def _polyline(rates: list[float]) -> str:
    """Return the points of a curve on a field of 1,000 by 300, errors upwards."""
    step = 1000.0 / (len(rates) - 1)
    return " ".join(f"{at * step:.1f},{300 * (1 - rate):.1f}" for at, rate in enumerate(rates))


def calibration(source: Source, figure: Markup | None) -> dict[str, Any] | None:
    """Return the reliability diagram and its figures, None where nothing was measured."""
    found = source.metrics.get("calibration")
    if not found or not found.get("raw"):
        return None
    rows = []
    for key, words in (("raw", "as scored"), ("calibrated", f"calibrated ({found['method']})")):
        if not found.get(key):
            continue
        cells = [
            " ".join(_with_limits(found[key][name])) for name in ("brier", "slope", "intercept")
        ]
        ece = found[key].get("ece")
        rows.append((words, [*cells, "-" if ece is None else f"{ece:.3f}"]))
    reason = next(
        (found[key].get("ece_reason") for key in ("raw", "calibrated") if found.get(key)), ""
    )
    no_slope = next(
        (found[key].get("slope_reason") for key in ("raw", "calibrated") if found.get(key)), ""
    )
    return {
        "figure": figure,
        "rows": rows,
        "ece_reason": reason,
        "slope_reason": no_slope,
        "fitted": _fitted(found),
        "reason": found.get("reason", ""),
    }


def _fitted(found: Mapping[str, Any]) -> str:
    """Return what calibration does to the log-odds, one model after the other's range."""
    each = found.get("calibrations") or []
    if not each:
        return ""
    ends = {key: (min(values), max(values)) for key in ("slope", "intercept")
            if (values := [one[key] for one in each])}  # fmt: skip
    words = (
        f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ends.values()
    )
    slope, intercept = words
    return f"Calibrated log-odds are the score's times {slope}, plus {intercept}."


def _with_limits(figure: Mapping[str, Any]) -> tuple[str, str]:
    value, limits = comparison_tables.interval(figure, share=False)
    return value, "" if limits == "-" else f"({limits})"


def slices(source: Source, figure: Markup | None) -> dict[str, Any] | None:
    """Return the rates of slices, None where no column tells any apart."""
    table = slices_table(source)
    if table is None:
        return None
    rows = [
        {
            "name": f"{row['column']} {row['value']}",
            "error": row["error"],
            "groups": f"{row['groups']:,}",
            "rate": f"{percent(row['rate'], 1)}",
            "limits": f"{percent(row['low'], 1).removesuffix(' %')} to {percent(row['high'], 1)}",
            "rest": percent(row["rest_rate"], 1) if pd.notna(row["rest_rate"]) else "-",
            "p": comparison_tables.p_words(row["p_holm"]) if pd.notna(row["p_holm"]) else "-",
            "worse": bool(row["worse"]),
        }
        for row in table.to_dict("records")
        if pd.notna(row["rate"])
    ]
    return {"figure": figure, "rows": rows}


def stress(source: Source, figure: Markup | None) -> dict[str, Any] | None:
    """Return what stress the inspector bears, None where it was not put under any."""
    table = stress_table(source)
    if table is None:
        return None
    return {
        "figure": figure,
        "sentences": breaking_sentences(table),
        "files": f"{int(table['files'].iloc[0]):,}",
    }


def provenance(source: Source) -> list[tuple[str, str]]:
    """Return where the figures come from."""
    record = source.record
    found = [(name, words) for name, words in facts([source.run]) if words]
    if command := record.get("command"):
        found.append(("command", " ".join(map(str, command))))
    if hardware := record.get("hardware"):
        named = hardware.get("gpu") or f"{hardware.get('processor')}, {hardware.get('cores')} cores"
        found.append(("trained on", str(named)))
    if versions := record.get("versions"):
        found.append(("versions", ", ".join(f"{key} {value}" for key, value in versions.items())))
    if started := record.get("started"):
        found.append(("started", str(started)))
    return found
