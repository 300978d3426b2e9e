"""Findings about single pictures: what does not decode, odd layouts, pictures that are the same."""

from __future__ import annotations

import pandas as pd

from casting_inspect.auditing.findings import (
    CONFLICT,
    NOTE,
    UNDECODABLE,
    WARNING,
    Finding,
    counted,
)


def undecodable(frame: pd.DataFrame) -> Finding:
    """Return the files that do not decode.

    Args:
        frame: A manifest with the columns of ``survey``.
    """
    bad = frame[frame["reason"] != ""]
    return Finding(
        key="undecodable",
        severity=UNDECODABLE if len(bad) else NOTE,
        title="Files that do not decode",
        count=len(bad),
        unit="files",
        share=len(bad) / len(frame),
        sentence=(
            f"{counted(len(bad), 'file')} of {len(frame):,} cannot be decoded."
            if len(bad)
            else f"All {counted(len(frame), 'file')} decode."
        ),
        advice=(
            "Left out of the audited manifest.csv and of everything below. Get them again from "
            "where they came from."
            if len(bad)
            else ""
        ),
        files=bad["path"].to_list(),
        details={"reasons": dict(zip(bad["path"], bad["reason"], strict=True))},
    )


def identical_bytes(frame: pd.DataFrame) -> Finding:
    """Return files that are equal byte for byte."""
    return _identical(frame, "sha256", "identical_bytes", "Identical files", "byte for byte")


def identical_pixels(frame: pd.DataFrame) -> Finding:
    """Return files that differ as files and hold the very same picture."""
    distinct = frame.groupby("pixels")["sha256"].transform("nunique")
    return _identical(
        frame[distinct > 1], "pixels", "identical_pixels", "Identical pictures in other files",
        "pixel for pixel, in files that differ", len(frame),
    )  # fmt: skip


def _identical(
    frame: pd.DataFrame, column: str, key: str, title: str, how: str, files: int | None = None
) -> Finding:
    """Return sets of rows with one value, those with both labels or across splits first."""
    files = len(frame) if files is None else files
    rows = frame[frame.groupby(column)["path"].transform("size") > 1]
    sets, labels, across = [], 0, 0
    for _, same in rows.groupby(column):
        parts = same["split"][same["split"] != ""].nunique() > 1
        both = same["label"].nunique() > 1
        labels, across = labels + both, across + parts
        sets.append((not both, not parts, -len(same), same["path"].to_list()))
    spare = len(rows) - len(sets)
    sentence = f"No two files are equal {how}."
    if sets:
        sentence = (
            f"{counted(len(rows), 'file')} in {counted(len(sets), 'set')} are equal {how}: "
            f"{counted(spare, 'file')} could go without loss."
        )
        if across:
            sentence += f" {counted(across, 'set')} lie in several parts of the delivered split."
        if labels:
            sentence += f" {counted(labels, 'set')} carry both labels."
    return Finding(
        key=key,
        severity=CONFLICT if labels else WARNING if sets else NOTE,
        title=title,
        count=len(rows),
        unit="files",
        share=len(rows) / files,
        sentence=sentence,
        advice="They share a group, so a split by group keeps them together." if sets else "",
        files=rows["path"].to_list(),
        sets=[paths for *_, paths in sorted(sets)],
        details={"sets": len(sets), "across_splits": across, "both_labels": labels},
    )


def odd_layouts(frame: pd.DataFrame) -> Finding:
    """Return pictures whose size or pixel layout is not that of most.

    A layout that a twentieth of the files has is a second kind of picture and not odd; it is in
    the details with its share of each class: a size that goes with a class gives it away.
    """
    size = frame["width"].astype(str) + " x " + frame["height"].astype(str)
    mode = frame["mode"].where(frame["mode"] != "", "grey or colour TIFF")
    layout = size + ", " + frame["format"] + " " + mode + ", " + frame["bits"].astype(str) + " bit"
    counts = layout.value_counts()
    rare = set(counts.index[counts < 0.05 * len(frame)])
    odd = frame[layout.isin(rare)]
    usual = ", ".join(f"{name} ({number:,})" for name, number in counts.items() if name not in rare)
    return Finding(
        key="odd_layouts",
        severity=WARNING if len(odd) else NOTE,
        title="Odd sizes and modes",
        count=len(odd),
        unit="files",
        share=len(odd) / len(frame),
        sentence=(
            f"{counted(len(odd), 'file')} in {counted(len(rare), 'rare layout')}"
            + (f"; usual: {usual}." if usual else ": no layout is usual.")
            if len(odd)
            else f"Layouts: {usual}."
        ),
        advice=(
            "Look whether they are pictures of the part at all, and whether the camera was set "
            "otherwise."
            if len(odd)
            else ""
        ),
        files=odd["path"].to_list(),
        details={"layouts": _layouts(frame, layout)},
    )


def _layouts(frame: pd.DataFrame, layout: pd.Series[str]) -> list[dict[str, object]]:
    table = pd.crosstab(layout, frame["label"]).reindex(
        columns=["normal", "defective"], fill_value=0
    )
    table["files"] = table.sum(axis=1)
    table = table.sort_values("files", ascending=False, kind="stable")
    return [
        {
            "layout": name,
            "normal": int(row["normal"]),
            "defective": int(row["defective"]),
            "files": int(row["files"]),
        }
        for name, row in table.iterrows()
    ]


def changed_since(changed: int, files: int) -> Finding:
    """Return how many files are not those that the manifest's digests were taken of."""
    return Finding(
        key="changed_files",
        severity=WARNING if changed else NOTE,
        title="Files changed since the manifest",
        count=changed,
        unit="files",
        share=changed / files,
        sentence=(
            f"{counted(changed, 'file')} of {files:,} differ from the digest in the manifest."
            if changed
            else "No file differs from the manifest."
        ),
        advice=(
            "The audited manifest has the digests of what is there now. Find out who changed them."
            if changed
            else ""
        ),
    )
