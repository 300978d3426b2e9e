"""Findings about groups: what straddles a split, both labels on one photograph, class balance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from casting_inspect.auditing.findings import (
    CONFLICT,
    LEAK,
    NOTE,
    WARNING,
    Finding,
    counted,
    share_words,
)
from casting_inspect.data.audit.leak import copies_in_training
from casting_inspect.data.folds import classes_of, units_of
from casting_inspect.evaluation.intervals import effective_groups
from casting_inspect.labels import CLASS_NAMES

DRAWS = 20
"""Random splits drawn for the share of copies that such a split would have."""
TEST_FRACTION = 0.4  # the paper's


def straddling(frame: pd.DataFrame) -> Finding:
    """Return the test files that have a copy of their photograph in training.

    Without a test part the validation part is taken; training then means the training part alone.

    Args:
        frame: A manifest with ``group`` and ``group_wide``.
    """
    parts = frame["split"]
    held_out = "test" if (parts == "test").any() else "val"
    if not (parts == held_out).any() or not (parts == "train").any():
        return Finding(
            key="straddling",
            severity=NOTE,
            title="Copies across the split",
            count=0,
            unit="test files",
            sentence="No split was delivered, so none can leak; see what a random one would do.",
        )
    table = frame if held_out == "test" else frame.assign(split=parts.replace("val", "test"))
    copies = copies_in_training(table)
    files = frame.loc[copies.index[copies], "path"].to_list()
    share = float(copies.mean())
    name = {"test": "test", "val": "validation"}[held_out]
    rows = frame.loc[copies.index[copies]]
    units = pd.Series(units_of(frame), index=frame.index)
    concerned = int(units.loc[rows.index].nunique())
    return Finding(
        key="straddling",
        severity=LEAK if files else NOTE,
        title="Copies across the split",
        count=len(files),
        unit=f"{name} files",
        share=share,
        sentence=(
            f"{counted(len(files), f'{name} file')} of {len(copies):,} ({share_words(share)}) have "
            f"a copy of their own photograph in training: {counted(concerned, 'group')} lie on "
            "both sides."
            if files
            else f"No {name} file of {len(copies):,} has a copy of its photograph in training."
        ),
        advice=(
            "A score on this split measures memory. Split by group: data.split=group."
            if files
            else ""
        ),
        files=files,
        sets=_pairs_across(frame, units.to_numpy(), held_out),
        details={"part": held_out, "of": len(copies), "groups": concerned},
    )


def _pairs_across(frame: pd.DataFrame, units: np.ndarray, held_out: str) -> list[list[str]]:
    """Return up to twelve pairs of a held-out file and a training file of its group."""
    pairs = []
    for _, rows in frame.groupby(units):
        out, learnt = rows[rows["split"] == held_out], rows[rows["split"] == "train"]
        if len(out) and len(learnt):
            pair = [out["path"].iloc[len(out) // 2], learnt["path"].iloc[len(learnt) // 2]]
            pairs.append((-len(rows), pair))
    return [pair for _, pair in sorted(pairs)[:12]]


def random_split(frame: pd.DataFrame) -> Finding:
    """Return the share of test files with a copy in training that a random split would have.

    Drawn `DRAWS` times as the paper did: 60 % of each class's files train, 40 % test.
    """
    units = units_of(frame)
    wide = pd.DataFrame({"group": units.astype(str), "path": frame["path"], "sha256": ""})
    shares = []
    for draw in range(DRAWS):
        generator = np.random.default_rng([draw])
        split = np.full(len(frame), "train", dtype=object)
        for label in CLASS_NAMES:
            rows = np.flatnonzero((frame["label"] == label).to_numpy())
            tested = generator.permutation(rows)[: round(TEST_FRACTION * len(rows))]
            split[tested] = "test"
        wide["split"] = split
        if (split == "test").any():
            shares.append(float(copies_in_training(wide).mean()))
    share = float(np.mean(shares)) if shares else 0.0
    copies = share > 0
    return Finding(
        key="random_split",
        severity=WARNING if copies else NOTE,
        title="What a random split would do",
        count=round(share * TEST_FRACTION * len(frame)),
        unit="test files",
        share=share,
        sentence=(
            f"Drawn at random by file, 60 to 40, {share_words(share)} of the test files would have "
            f"a copy of their photograph in training (mean of {len(shares)} draws)."
        ),
        advice="Never split these files at random: data.split=group." if copies else "",
        details={"low": min(shares, default=0.0), "high": max(shares, default=0.0)},
    )


def conflicts(frame: pd.DataFrame) -> Finding:
    """Return the groups that carry both labels; ``details`` and ``sets`` have the same order."""
    both = frame[frame.groupby("group_wide")["label"].transform("nunique") > 1]
    parts = [rows for _, rows in both.groupby("group_wide")]
    parts.sort(key=lambda rows: (-len(rows), str(rows["group_wide"].iloc[0])))
    sure = [_surely_both(rows) for rows in parts]
    sentence = "No photograph carries both labels."
    if parts:
        links = (
            f" ({sum(sure):,} of them by sure links, the others by possible ones)"
            if not all(sure)
            else ""
        )
        sentence = (
            f"{counted(len(parts), 'group')} with {counted(len(both), 'file')} "
            f"{'carries' if len(parts) == 1 else 'carry'} both labels{links}."
        )
    facts = [
        {
            "group_wide": rows["group_wide"].iloc[0],
            "normal": int((rows["label"] == "normal").sum()),
            "defective": int((rows["label"] == "defective").sum()),
            "sure": surely,
        }
        for rows, surely in zip(parts, sure, strict=True)
    ]
    return Finding(
        key="conflicts",
        severity=CONFLICT if parts else NOTE,
        title="Both labels on one photograph",
        count=len(parts),
        unit="groups",
        share=len(both) / len(frame),
        sentence=sentence,
        advice=(
            "One of the labels is wrong. Look at the pictures and correct the manifest; until then "
            "training leaves these groups out (data.on_conflict=drop)."
            if parts
            else ""
        ),
        files=both["path"].to_list(),
        sets=[rows["path"].to_list() for rows in parts],
        details={"groups": facts},
    )


def _surely_both(rows: pd.DataFrame) -> bool:
    return bool((rows.groupby("group")["label"].nunique() > 1).any())


def joined_groups(facts: dict[str, Any], frame: pd.DataFrame) -> Finding:
    """Return the given groups that the pictures say are one.

    Args:
        facts: From ``groups.with_groups``.
        frame: The manifest with groups.
    """
    joined = facts["joined"]
    sets = [
        frame.loc[frame["group_wide"] == each["group_wide"], "path"].to_list() for each in joined
    ]
    sentence = "The given groups and the pictures agree."
    if not facts["given"]:
        sentence = "No groups were given; all were found from the pictures."
    elif joined:
        first = ", ".join(joined[0]["groups"][:4])
        sentence = (
            f"{counted(len(joined), 'set')} of given groups seem to show one photograph (first: "
            f"{first}). The names are kept in group; group_wide joins them, and splits follow it."
        )
    if facts["added"]:
        sentence += f" {counted(facts['added'], 'file')} without a group joined given ones."
    return Finding(
        key="given_groups",
        severity=WARNING if joined else NOTE,
        title="Given groups that look like one",
        count=len(joined),
        unit="sets of groups",
        sentence=sentence,
        advice="Correct the names, or leave group_wide to keep them together." if joined else "",
        files=[path for paths in sets for path in paths],
        sets=sets,
        details={"joined": joined, "unlike": facts["unlike"], "added": facts["added"]},
    )


def balance(frame: pd.DataFrame) -> Finding:
    """Return files and groups of each class, and how unequal groups are."""
    classes = class_table(frame)
    counts = {row["label"]: row for row in classes}
    few = min(row["groups"] for row in classes)
    words = " and ".join(
        f"{row['files']:,} {row['label']} files of {counted(row['groups'], 'group')}"
        for row in classes
    )
    skew = max(classes, key=lambda row: row["largest_share"])
    note = (
        f" The largest {skew['label']} group holds {share_words(skew['largest_share'])} of its "
        f"class, so that {skew['groups']:,} groups weigh like {skew['effective']:.1f} equal ones."
        if skew["groups"] > 1 and skew["effective"] < 0.5 * skew["groups"]
        else ""
    )
    missing = [label for label in CLASS_NAMES if counts[label]["files"] == 0]
    return Finding(
        key="balance",
        severity=WARNING if few < 30 or missing else NOTE,
        title="Files and groups by class",
        count=int(sum(row["groups"] for row in classes)),
        unit="groups",
        sentence=f"{words}.{note}",
        advice=(
            f"There are no {missing[0]} pictures: nothing can be trained or tested."
            if missing
            else "More photographs of other castings help; more copies of these do not."
            if few < 30
            else ""
        ),
        details={"classes": classes},
    )


def class_table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each class its files, groups, largest group and Kish's effective number.

    A unit with both labels counts in the class of most of its files.
    """
    table = frame.assign(unit=units_of(frame)).sort_values(["sha256", "path"])
    classes = classes_of(table)
    sizes = table.groupby("unit").size()
    rows = []
    for label in reversed(CLASS_NAMES):
        mine = np.sort(sizes[classes.index[classes == label]].to_numpy())[::-1]
        rows.append(
            {
                "label": label,
                "files": int((table["label"] == label).sum()),
                "groups": len(mine),
                "sure": int(table.loc[table["label"] == label, "group"].nunique()),
                "effective": effective_groups(mine),
                "largest": int(mine[0]) if len(mine) else 0,
                "largest_share": float(mine[0] / mine.sum()) if len(mine) else 0.0,
                "median": float(np.median(mine)) if len(mine) else 0.0,
                "single": int((mine == 1).sum()),
            }
        )
    return rows
