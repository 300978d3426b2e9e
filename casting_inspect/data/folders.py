"""Which class and which part of the data a file's folders name, and which files are pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from casting_inspect.data.header import format_of
from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import CLASS_NAMES

ALIASES: Final[Mapping[str, str]] = {
    "normal": "normal",
    "ok": "normal",
    "good": "normal",
    "ok_front": "normal",
    "defective": "defective",
    "def": "defective",
    "bad": "defective",
    "ng": "defective",
    "def_front": "defective",
    "defect": "defective",
    "defects": "defective",
}
SPLITS: Final[Mapping[str, str]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_READ = ".jpg .jpeg .jpe .jfif .mpo .png .apng .tif .tiff .btf .bmp .dib .webp"
_NOT_READ = (
    ".gif .jp2 .j2k .jxl .jxr .heic .heif .avif .dcm .dicom .dng .raw .cr2 .cr3 .nef .arw .orf "
    ".pgm .ppm .pbm .pnm .exr .hdr .tga .psd"
)
SUFFIXES: Final = frozenset(_READ.split())
# Pictures of kinds that are not read: they are refused by name rather than passed over.
UNREAD_SUFFIXES: Final = frozenset(_NOT_READ.split())
SIDE_FILES: Final = frozenset((".txt", ".csv", ".db", ".ini", ".json", ".xml", ".md", ".yaml"))


@dataclass(frozen=True)
class Place:
    """What the folders above a file say.

    Attributes:
        label: ``normal``, ``defective``, or empty where no folder names a class.
        split: ``train``, ``val``, ``test``, or empty.
        conflict: Why nothing can be said, such as two classes in one path; else empty.
    """

    label: str
    split: str
    conflict: str = ""


def class_aliases(extra: Mapping[str, str] | None) -> dict[str, str]:
    """Return folder name in small letters -> class, the built-in ones and the user's.

    Args:
        extra: Folder name -> ``normal`` or ``defective``; wins over the built-in ones.

    Raises:
        UserError: If an alias stands for neither class.
    """
    aliases = dict(ALIASES)
    for name, label in (extra or {}).items():
        if str(label) not in CLASS_NAMES:
            raise UserError(
                f"aliases.{name}={label}: must be 'normal' or 'defective'."
                f"{suggestion(str(label), CLASS_NAMES)}"
            )
        aliases[str(name).lower()] = str(label)
    return aliases


def place_of(path: str, aliases: Mapping[str, str]) -> Place:
    """Say which class and split the folders of a file name.

    Args:
        path: POSIX-style, relative to the folder that was given; its last part is the file.
        aliases: From ``class_aliases``.
    """
    folders = PurePosixPath(path).parts[:-1]
    labels = _named(folders, aliases)
    splits = _named([folder for folder in folders if folder.lower() not in aliases], SPLITS)
    for found in (labels, splits):
        if len(set(found.values())) > 1:
            return Place("", "", f"its folders contradict each other: {' and '.join(found)}")
    return Place(next(iter(labels.values()), ""), next(iter(splits.values()), ""))


def _named(folders: Sequence[str], words: Mapping[str, str]) -> dict[str, str]:
    return {folder: words[folder.lower()] for folder in folders if folder.lower() in words}


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


def no_class_folder(where: str, paths: Sequence[str]) -> UserError:
    """Return the error for a tree in which no folder names a class."""
    folders = sorted({part for path in paths for part in PurePosixPath(path).parts[:-1]})
    shown = ", ".join(map(repr, folders[:8])) or "none"
    more = f" and {len(folders) - 8} more" if len(folders) > 8 else ""
    archives = [path for path in paths if path.lower().endswith(".zip")]
    hint = f" Or give source={archives[0]!r} itself." if archives else ""
    return UserError(
        f"{where}: no folder named normal or defective (or ok, good, def, bad, ng, ...); folders "
        f"found: {shown}{more}. Give the names as aliases={{NAME: normal, OTHER: defective}}.{hint}"
    )
