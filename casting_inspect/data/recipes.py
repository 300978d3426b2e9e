"""Recipes: which delivered file becomes which picture of the data set, with label and split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from casting_inspect.data import folders
from casting_inspect.data.class_names import ClassNames, class_names
from casting_inspect.errors import UserError

RECIPES: Final = ("paper", "vendor", "all", "folder", "synthetic")
# normal and defective pictures of the public casting set, as its three folders are combined
EXPECTED: Final[Mapping[str, Mapping[str, int]]] = {
    "paper": {"defective": 4_613, "normal": 3_399},
    "vendor": {"defective": 4_211, "normal": 3_137},
    "all": {"defective": 4_992, "normal": 3_656},
}
_OUTSIDE: Final = "not in a class folder"
_OTHER: Final = "for other pictures take recipe=folder"
_DELIVERED: Final = ("train", "test", "512")  # the order in which the paper's set is poured
_PUBLIC_LABELS: Final = {"def_front": "defective", "ok_front": "normal"}


@dataclass(frozen=True)
class Pick:
    """One delivered file that belongs to the data set.

    Attributes:
        source: Its path in what was delivered.
        path: Its path in the data set.
        label: ``normal`` or ``defective``.
        split: ``train``, ``val``, ``test`` or empty.
        delivered: The folder it came in: ``train``, ``test`` or ``512`` of the public set, else
            its folder's path.
    """

    source: str
    path: str
    label: str
    split: str
    delivered: str


@dataclass
class Plan:
    """What becomes of each delivered picture.

    Attributes:
        picks: The data set, sorted by path.
        refused: (path, reason) of pictures that nothing can be made of.
        notes: What else happened to pictures, in sentences for the screen.
        more: Further columns of the manifest by ``Pick.source``.
        strange: What to do about folders whose names say nothing; empty where there are none.
    """

    picks: list[Pick] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more: dict[str, dict[str, str]] = field(default_factory=dict)
    strange: str = ""


def plan_recipe(
    recipe: str,
    pictures: Sequence[str],
    others: Sequence[str],
    where: str,
    aliases: Mapping[str, str] | None = None,
    normal: Sequence[str] | None = None,
) -> Plan:
    """Decide what becomes of the delivered pictures.

    Args:
        recipe: ``paper``, ``vendor``, ``all`` or ``folder``.
        pictures: Delivered pictures, POSIX-style relative paths.
        others: The other files, for a message that says what is there.
        where: The source, for messages.
        aliases: Further class folders for ``folder``: name -> ``normal`` or ``defective``.
        normal: For ``folder``: names of folders with good castings; every other one is a kind of
            defect then.

    Raises:
        UserError: If there are no class folders, or the public set is not complete.
    """
    if recipe == "folder":
        named = class_names(aliases, normal)
        plan = _plan_folder(pictures, named)
        if not plan.picks and all(reason == _OUTSIDE for _, reason in plan.refused):
            raise folders.no_class_folder(where, [*pictures, *others], named)
    else:
        files = _public_files(pictures, where)
        if not files:
            archives = [path for path in others if path.lower().endswith(".zip")]
            hint = f"it may be in {archives[0]!r}: give that as source" if archives else _OTHER
            raise UserError(
                f"{where}: nothing of the public casting set is here (train/def_front and so on); "
                f"{hint}"
            )
        plan = _PLANS[recipe](files)
        known = {file.source for file in files}
        plan.refused = [(path, _OUTSIDE) for path in pictures if path not in known]
        check_counts(recipe, Counter(pick.label for pick in plan.picks), where)
    plan.picks.sort(key=lambda pick: pick.path)
    return plan


def check_counts(recipe: str, counts: Mapping[str, int], where: str, rejected: int = 0) -> None:
    """Check that a recipe for the public set has given the number of pictures that it must.

    Args:
        recipe: Any recipe; those without fixed numbers pass.
        counts: Pictures by label.
        where: The source, for the message.
        rejected: Pictures left out because they could not be read.

    Raises:
        UserError: With each count that is off.
    """
    wrong = [
        f"{counts.get(label, 0):,} {label} instead of {number:,}"
        for label, number in EXPECTED.get(recipe, {}).items()
        if counts.get(label, 0) != number
    ]
    if wrong:
        after = f" after {rejected} rejected" if rejected else ""
        raise UserError(
            f"{where}: recipe={recipe} gives {' and '.join(wrong)}{after}; is the download whole?"
        )


def _plan_folder(pictures: Sequence[str], given: ClassNames) -> Plan:
    plan = Plan()
    castings = [path for path in pictures if not folders.is_mask(path)]
    masks = len(pictures) - len(castings)
    names = folders.fitted_names(castings, given)
    if masks:
        plan.notes.append(f"{masks:,} masks of defects (ground_truth, masks) take no part")
    if names is not given:
        plan.notes.append("MVTec's layout: every folder of test/ but good is a kind of defect")
    for path in castings:
        place = folders.place_of(path, names)
        if place.conflict or not place.label:
            plan.refused.append((path, place.conflict or _OUTSIDE))
            continue
        parent = PurePosixPath(path).parent.as_posix()
        plan.picks.append(Pick(path, path, place.label, place.split, parent))
        if place.kind:
            plan.more[path] = {"kind": place.kind}
    outside = [path for path, reason in plan.refused if reason == _OUTSIDE]
    if outside:
        known = [pick.path for pick in plan.picks]
        plan.strange = folders.unknown_folders(outside, known, names)
    return plan


class _PublicFile(NamedTuple):
    source: str
    delivered: str
    label: str
    name: str


def _public_files(pictures: Sequence[str], where: str) -> list[_PublicFile]:
    """Recognise the public set's files by their last two folders, in the order of pouring.

    So the zip, what it unpacks to, and a folder above or below that all give the same.
    """
    found: dict[tuple[str, str, str], str] = {}
    for path in pictures:
        above, holder, name = ("", "", *PurePosixPath(path).parts)[-3:]
        label = _PUBLIC_LABELS.get(holder, "")
        delivered = "512" if "512" in above else above
        if not label or delivered not in _DELIVERED:
            continue
        key = (delivered, label, name)
        if key in found:
            raise UserError(f"{where}: holds the set twice: '{found[key]}' and '{path}'")
        found[key] = path
    files = [_PublicFile(path, *key) for key, path in found.items()]
    return sorted(files, key=lambda file: (_DELIVERED.index(file.delivered), file.label, file.name))


def _plan_paper(files: Sequence[_PublicFile]) -> Plan:
    """Pour train, test and 512 into one folder a class; of one name the last stays."""
    poured = {(file.label, file.name): file for file in files}
    picks = [
        Pick(file.source, f"{file.label}/{file.name}", file.label, "", file.delivered)
        for file in poured.values()
    ]
    lost = len(files) - len(picks)
    return Plan(picks, notes=[f"{lost} files were overwritten by a later one of the same name"])


def _plan_vendor(files: Sequence[_PublicFile]) -> Plan:
    """Take train and test as delivered, each in a folder of its own."""
    kept = [file for file in files if file.delivered != "512"]
    left = len(files) - len(kept)
    plan = _plan_all(kept)
    plan.notes = [f"{left} files of the 512 x 512 folder are no part of recipe=vendor"] * (left > 0)
    return plan


def _plan_all(files: Sequence[_PublicFile]) -> Plan:
    """Take every file; the vendor's split where there is one."""
    return Plan(
        [
            Pick(
                file.source,
                f"{file.delivered}/{file.label}/{file.name}",
                file.label,
                "" if file.delivered == "512" else file.delivered,
                file.delivered,
            )
            for file in files
        ]
    )


_PLANS: Final[Mapping[str, Callable[[Sequence[_PublicFile]], Plan]]] = {
    "paper": _plan_paper,
    "vendor": _plan_vendor,
    "all": _plan_all,
}
