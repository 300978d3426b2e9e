from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from casting_inspect.data.class_names import ALIASES, class_names, counted_words, plain_word
from casting_inspect.errors import UserError


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["i.O.", "IO", "i. O.", "gut", "GUT", "pass", "O.K.", "good", "ok_front"], "normal"),
        (["n.i.O.", "NIO", "n. i. O.", "nok", "N.O.K.", "schlecht", "fail", "Scrap"], "defective"),
        (["nicht i.O.", "Ausschuß", "AUSSCHUSS", "ng", "def_front"], "defective"),
        (["looks good", "io2", "", "kamera"], ""),
    ],
)
def test_words_that_foundries_use(words: list[str], label: str) -> None:
    assert [class_names().known(word) for word in words] == [label] * len(words)


@given(st.sampled_from(sorted(ALIASES)), st.data())
def test_case_dots_and_blanks_make_no_difference(word: str, data: st.DataObject) -> None:
    between = st.sampled_from(["", ".", " ", ". "])
    spelt = "".join(sign + data.draw(between) for sign in word)
    assert plain_word(data.draw(st.sampled_from([spelt, spelt.upper()]))) == word


@given(st.text())
@example("\u0339 \u0334")  # marks that change places once the blank between them is gone
def test_a_plain_word_is_plain_and_the_same_on_a_mac(word: str) -> None:
    assert plain_word(unicodedata.normalize("NFD", word)) == plain_word(word)
    assert plain_word(plain_word(word)) == plain_word(word)


def test_umlauts_may_be_written_out() -> None:
    names = class_names({"Güteteil": "normal", "Stoss": "defective"})
    assert names.known("gueteteil") == "normal"
    assert names.known("Stoß") == "defective"


def test_with_normal_every_other_word_is_defective() -> None:
    names = class_names(None, ["Gut"])
    assert names.label_of("gut") == "normal"
    assert names.label_of("Riss") == names.label_of("ok") == "defective"
    assert names.label_of(" ") == ""
    assert (names.known("Riss"), names.known("nio")) == ("", "defective")
    with pytest.raises(UserError, match=r"data\.normal: a name is empty"):
        class_names(None, ["."])


def test_words_are_counted_with_what_is_known_of_them() -> None:
    words = ["io"] * 1200 + ["Riss", "Lunker", "Riss"]
    assert counted_words(words, class_names()) == "'io' (1,200, normal), 'Riss' (2), 'Lunker' (1)"
    assert counted_words("abcdefghijk", class_names()).endswith(" and 3 more")
