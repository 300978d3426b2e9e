"""Which class a folder's or a table's own word means: n.i.O., Gut, scrap, and the user's own."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import CLASS_NAMES

_NORMAL: Final = "normal ok io good gut gutteil gutteile pass passed ok_front"
_DEFECTIVE: Final = (
    "defective defect defects defekt def bad ng nok nio notok nichtok nichtio schlecht fail failed "
    "scrap reject rejected ausschuss def_front"
)
_WRITTEN_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})  # ß: casefold does it


def plain_word(name: str) -> str:
    """Return a name as it is compared: no case, dots or spaces between letters, umlauts as ae.

    ``n.i.O.``, ``N. I. O`` and ``nio`` are one word; so are ``Gußteil`` from Windows (one code
    point a letter) and from a Mac (letter and dots apart).
    """
    letters = "".join(sign for sign in name if not sign.isspace() and sign != ".")
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFD", letters).casefold())
    return unicodedata.normalize("NFC", text.translate(_WRITTEN_OUT))


ALIASES: Final[Mapping[str, str]] = {
    **{plain_word(word): CLASS_NAMES[1] for word in _NORMAL.split()},
    **{plain_word(word): CLASS_NAMES[0] for word in _DEFECTIVE.split()},
}


@dataclass(frozen=True)
class ClassNames:
    """What words mean.

    Attributes:
        aliases: Plain word -> ``normal`` or ``defective``.
        normal: Plain words of good castings; when there are any, every other word is defective.
    """

    aliases: Mapping[str, str] = field(default_factory=lambda: dict(ALIASES))
    normal: frozenset[str] = frozenset()

    def known(self, word: str) -> str:
        """Return the class that a word is known for, or an empty string."""
        plain = plain_word(word)
        if plain in self.normal:
            return CLASS_NAMES[1]
        known = self.aliases.get(plain, "")
        return "" if self.normal and known == CLASS_NAMES[1] else known

    def label_of(self, word: str) -> str:
        """Return the class of a word that is meant to be one; empty where nobody knows."""
        return self.known(word) or (CLASS_NAMES[0] if self.normal and word.strip() else "")


def class_names(
    aliases: Mapping[str, str] | None = None, normal: Sequence[str] | None = None
) -> ClassNames:
    """Return what words mean: the built-in ones and the user's, which win.

    Args:
        aliases: Word -> ``normal`` or ``defective``.
        normal: Words of good castings; every other one is defective then.

    Raises:
        UserError: If an alias stands for neither class, or a word of ``normal`` is empty.
    """
    known = dict(ALIASES)
    for name, label in (aliases or {}).items():
        if str(label) not in CLASS_NAMES:
            raise UserError(
                f"aliases.{name}={label}: must be 'normal' or 'defective'."
                f"{suggestion(str(label), CLASS_NAMES)}"
            )
        known[plain_word(str(name))] = str(label)
    words = frozenset(plain_word(str(word)) for word in normal or ())
    if "" in words:
        raise UserError("data.normal: a name is empty; write data.normal=[gut]")
    # with both, an alias may take a word out of what is defective
    own = {plain_word(str(name)) for name, label in (aliases or {}).items() if label == "normal"}
    return ClassNames(known, words | own if words else words)


def counted_words(words: Iterable[str], names: ClassNames, most: int = 8) -> str:
    """Return the words found with their numbers and what is known of them, for a message.

    Such as ``'io' (200, normal), 'Lunker' (31), 'Riss' (12)``.
    """
    counts = Counter(words).most_common()
    shown = [
        f"{word!r} ({number:,}{', ' * bool(names.known(word))}{names.known(word)})"
        for word, number in counts[:most]
    ]
    more = f" and {len(counts) - most} more" if len(counts) > most else ""
    return ", ".join(shown) + more
