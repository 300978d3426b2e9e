"""Which class and which part of the data a file's folders name, and which files are pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from casting_inspect.data.class_names import ClassNames, counted_words, plain_word
from casting_inspect.data.header import format_of
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES
from casting_inspect.shell import typed

SPLITS: Final[Mapping[str, str]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_READ = ".jpg .jpeg .jpe .jfif .mpo .png .apng .tif .tiff .btf .bmp .dib .webp .heic .heif"
_NOT_READ = (
    ".gif .jp2 .j2k .jxl .jxr .avif .dcm .dicom .dng .raw .cr2 .cr3 .nef .arw .orf "
    ".pgm .ppm .pbm .pnm .exr .hdr .tga .psd"
)
SUFFIXES: Final = frozenset(_READ.split())
# Pictures of kinds that are not read: they are refused by name rather than passed over.
UNREAD_SUFFIXES: Final = frozenset(_NOT_READ.split())
SIDE_FILES: Final = frozenset((".txt", ".csv", ".db", ".ini", ".json", ".xml", ".md", ".yaml"))


MASKS: Final = frozenset(("ground_truth", "groundtruth", "mask", "masks"))
"""Folders, in small letters, whose pictures show where defects are and no castings."""


@dataclass(frozen=True)
class Place:
    """What the folders above a file say.

    Attributes:
        label: ``normal``, ``defective``, or empty where no folder names a class.
        split: ``train``, ``val``, ``test``, or empty.
        conflict: Why nothing can be said, such as two classes in one path; else empty.
        kind: The kind of defect, where every folder but the good ones is one; else empty.
    """

    label: str
    split: str
    conflict: str = ""
    kind: str = ""


def place_of(path: str, names: ClassNames) -> Place:
    """Say which class and split the folders of a file name.

    Args:
        path: POSIX-style, relative to the folder that was given; its last part is the file.
        names: What words mean.
    """
    folders = PurePosixPath(path).parts[:-1]
    labels = {folder: label for folder in folders if (label := names.known(folder))}
    others = [folder for folder in folders if folder not in labels]
    splits = {folder: SPLITS[folder.lower()] for folder in others if folder.lower() in SPLITS}
    for found in (labels, splits):
        if len(set(found.values())) > 1:
            return Place("", "", f"its folders contradict each other: {' and '.join(found)}")
    split = next(iter(splits.values()), "")
    if not names.normal:
        return Place(next(iter(labels.values()), ""), split)
    if CLASS_NAMES[1] in labels.values():
        return Place(CLASS_NAMES[1], split)
    kinds = [folder for folder in folders if folder not in splits]
    return Place(CLASS_NAMES[0], split, kind=kinds[-1]) if kinds else Place("", split)


def is_mask(path: str) -> bool:
    """Tell masks of defects, which lie in a folder of their own, from pictures of castings."""
    return any(folder.lower() in MASKS for folder in PurePosixPath(path).parts[:-1])


def fitted_names(paths: Iterable[str], names: ClassNames) -> ClassNames:
    """Return what words mean in this tree: in MVTec's layout all but ``good`` is defective.

    MVTec's anomaly sets have ``train/good`` alone to train on, and ``test/good`` beside one folder
    a kind of defect. A user's own ``normal`` is left as it is.

    Args:
        paths: Of the pictures, without masks.
        names: What is meant in any tree.
    """
    if names.normal:
        return names
    found = [PurePosixPath(path).parts[-3:-1] for path in paths]
    of_split = {
        split: {pair[1] for pair in found if len(pair) == 2 and pair[0].lower() == split}
        for split in ("train", "test")
    }
    trained = {plain_word(name) for name in of_split["train"]}
    own_kinds = [name for name in of_split["test"] if not names.known(name)]
    if trained == {"good"} and own_kinds and names.known("good") == CLASS_NAMES[1]:
        return ClassNames(names.aliases, frozenset(("good",)))
    return names


def is_picture(path: str, start: Callable[[], bytes]) -> bool:
    """Tell pictures, good or broken, from side files such as Thumbs.db.

    By the suffix; a name that says nothing is judged by the file's first 16 bytes.

    Args:
        path: POSIX-style.
        start: Reads the first 16 bytes; only called when the name says nothing.
    """
    pure = PurePosixPath(path)
    if pure.name.startswith("._") or "__MACOSX" in pure.parts:  # macOS's notes on other files
        return False
    suffix = pure.suffix.lower()
    if suffix in SUFFIXES or suffix in UNREAD_SUFFIXES:
        return True
    return suffix not in SIDE_FILES and bool(format_of(start()))


def no_class_folder(where: str, paths: Sequence[str], names: ClassNames) -> UserError:
    """Return the error for a tree in which no folder names a class: what is there, what to type."""
    pictures = [path for path in paths if PurePosixPath(path).suffix.lower() not in SIDE_FILES]
    found = [PurePosixPath(path).parent.name for path in pictures]
    archives = [path for path in paths if path.lower().endswith(".zip")]
    hint = f" Or give source={archives[0]!r} itself." if archives else ""
    table = "a table with file names and classes does too: data.manifest=FILE."
    if not any(found):
        return UserError(
            f"{where}: no folder says which castings are good: put their pictures into a folder io "
            f"and those of defective ones into nio; {table}{hint}"
        )
    first = min(name for name in found if name)
    return UserError(
        f"{where}: no folder named normal or defective (or ok, io, gut, good, nio, ng, schlecht, "
        f"scrap, ...); folders found: {counted_words(found, names)}. If {first!r} holds the good "
        "castings and all others defective ones, type casting-inspect prepare "
        f"{typed([f'source={where}'])} out=FOLDER {normal_words([first])}; else name each, as "
        f"in aliases={{NAME: normal, OTHER: defective}}; {table}{hint}"
    )


def unknown_folders(paths: Sequence[str], known: Sequence[str], names: ClassNames) -> str:
    """Return what to do about pictures in folders of unknown names, for the end of a message.

    Args:
        paths: Pictures in no class folder.
        known: Paths of those whose class is known.
        names: What words mean.
    """
    strange = [PurePosixPath(path).parent.name or "no folder" for path in paths]
    normals = sorted(
        {
            folder
            for path in known
            for folder in PurePosixPath(path).parts[:-1]
            if names.known(folder) == CLASS_NAMES[1]
        }
    )
    word = typed([f"aliases={{{sorted(set(strange))[0]}: defective}}"])
    return (
        f"what these folders hold is not known: {counted_words(strange, names)}; if all but the "
        f"good ones are defective add {normal_words(normals or ['gut'])}, else for each {word}"
    )


def normal_words(names: Sequence[str]) -> str:
    """Return ``data.normal=[...]`` as it is typed."""
    simple = all(re.fullmatch("[A-Za-z_][A-Za-z0-9_-]*", name) for name in names)
    listed = ",".join(names if simple else [f"'{name}'" for name in names])
    word = f"data.normal=[{listed}]"
    return word if simple else f'"{word}"'
