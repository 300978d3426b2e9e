from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from casting_inspect.errors import UserError
from casting_inspect.starting.look import Look, table_of
from casting_inspect.starting.proposal import UndecidedError, Words, proposed, read

NAMES = [f"T{part:02d}_{shot}.jpg" for part in range(12) for shot in (1, 2)]


def look(*folders: str, names: list[str] = NAMES, tables: tuple[Path, ...] = ()) -> Look:
    pictures = sorted(f"{folder}/{folder[:1]}{name}" for folder in folders for name in names)
    return Look(Path("in"), pictures, [table for path in tables if (table := table_of(path))])


def test_known_folders_need_no_word_and_castings_are_named() -> None:
    found = proposed(look("i.O.", "n.i.O."), Words())
    assert found == Words(group_from=r"path:([^/]+)[_ -][^/_ -]*$")
    reading = read(look("i.O.", "n.i.O."), found)
    assert reading.counts == {"normal": 24, "defective": 24}
    assert reading.found == [
        "folder 'n.i.O.': 24 pictures defective",
        "folder 'i.O.': 24 pictures good",
    ]


def test_beside_good_ones_every_other_folder_is_a_kind_of_defect() -> None:
    found = proposed(look("gut", "Riß", "Lunker"), Words())
    assert found.normal == ("gut",)
    assert found.overrides()[0] == "data.normal=[gut]"
    assert read(look("gut", "Riß", "Lunker"), found).counts == {"normal": 24, "defective": 48}


def test_what_is_left_out_is_said() -> None:
    reading = read(look("io", "nio", "Sonstiges"), Words())
    assert reading.left == "24 pictures in other folders are left out: 'Sonstiges' (24)"


def test_nobody_but_the_user_knows_what_other_words_mean() -> None:
    there = look("A-Teile", "B-Teile")
    with pytest.raises(UndecidedError) as caught:
        proposed(there, Words())
    assert caught.value.words == Counter({"A-Teile": 24, "B-Teile": 24})
    assert "'A-Teile' (24), 'B-Teile' (24)" in str(caught.value.error)
    assert "type casting-inspect start in data.normal=[A-Teile]." in str(caught.value.error)
    chosen = proposed(there, replace(caught.value.given, normal=("B-Teile",)))
    assert read(there, chosen).counts == {"normal": 24, "defective": 24}


def test_beside_defective_ones_the_good_folder_is_asked_for() -> None:
    there = look("nio", "Teile")
    with pytest.raises(UndecidedError) as caught:
        proposed(there, Words())
    assert "If it is 'Teile', and all others are defects" in str(caught.value.error)
    assert caught.value.words == Counter({"nio": 24, "Teile": 24})
    chosen = replace(caught.value.given, normal=("Teile",))
    assert read(there, chosen).counts == {"normal": 24, "defective": 24}
    with pytest.raises(UserError, match="no folder named normal or defective"):
        read(look("A", "B"), Words(aliases={"C": "normal"}))


def test_many_pictures_are_no_matter() -> None:
    many = look("io", "nio", names=[f"T{n // 3:05d}_{n % 3}.jpg" for n in range(9000)])
    assert proposed(many, Words()).group_from == r"path:([^/]+)[_ -][^/_ -]*$"


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("io",), r"all 24 pictures are of good castings .* of defective castings .* named nio"),
        (("nio", "schlecht"), "all 48 pictures are of defective castings .* named io"),
    ],
)
def test_a_folder_of_one_class(folders: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        proposed(look(*folders), Words())
    assert "\n" not in str(caught.value)


def test_what_the_user_says_wins() -> None:
    given = Words(normal=("nio",), group_from="folder:1", lot_from="folder:1")
    assert proposed(look("io", "nio"), given) == given
    aliases = Words(aliases={"A": "normal", "B": "defective"})
    assert read(look("A", "B"), proposed(look("A", "B"), aliases)).counts["normal"] == 24
    assert aliases.overrides() == ["aliases={A: normal, B: defective}"]
    assert Words.of(given.plain()) == given


def listed(path: Path, header: str, *words: str) -> Path:
    rows = [
        f"bilder\\b{name};{words[at % len(words)]};G{at // 4};L1" for at, name in enumerate(NAMES)
    ]
    path.write_bytes("\r\n".join([header, *rows]).encode("cp1252"))
    return path


def test_classes_castings_and_lots_come_from_the_table(tmp_path: Path) -> None:
    table = listed(tmp_path / "Liste.csv", "Datei;Befund;Gußteil;Charge", "i.O.", "n.i.O.")
    there = look("bilder", tables=(table,))
    found = proposed(there, Words())
    assert found == Words(manifest=str(table), group_from="Gußteil", lot_from="Charge")
    reading = read(there, found)
    assert (reading.counts, reading.left) == ({"normal": 12, "defective": 12}, "")
    assert reading.found == [
        "Liste.csv: 12 pictures defective ('n.i.O.' 12)",
        "Liste.csv: 12 pictures good ('i.O.' 12)",
    ]
    assert found.overrides() == [
        f"data.manifest={table}",
        "data.group_from=Gußteil",
        "data.lot_from=Charge",
    ]


def test_one_known_word_in_a_table_makes_the_others_kinds(tmp_path: Path) -> None:
    table = listed(tmp_path / "Liste.csv", "Datei;Befund;x;y", "Gut", "Riß", "Lunker")
    assert proposed(look("bilder", tables=(table,)), Words()).normal == ("Gut",)
    strange = listed(tmp_path / "other.csv", "Datei;Befund;x;y", "A", "B")
    with pytest.raises(UndecidedError) as caught:
        proposed(look("bilder", tables=(strange,)), Words())
    assert caught.value.given.manifest == str(strange)
    assert "'A' (12), 'B' (12); add data.normal=[A]" in str(caught.value.error)


def test_a_table_that_names_castings_says_more_than_folders(tmp_path: Path) -> None:
    table = listed(tmp_path / "Liste.csv", "Datei;Befund;Teil;y", "i.O.", "Riß")
    there = look("io", "bilder", tables=(table,))
    assert proposed(there, Words()) == Words(str(table), ("i.O.",), group_from="Teil")
    silent = listed(tmp_path / "Liste.csv", "Datei;Befund;x;y", "i.O.", "Riß")
    assert proposed(look("io", "bilder", tables=(silent,)), Words()).manifest is None


def test_a_table_without_file_names_is_said(tmp_path: Path) -> None:
    table = listed(tmp_path / "Liste.csv", "Nummer;Befund;x;y", "Gut", "Riß")
    with pytest.raises(UndecidedError) as caught:
        proposed(look("bilder", tables=(table,)), Words())
    assert "Liste.csv has no column with the file names (call it 'path')" in str(caught.value)
    assert "its columns are Nummer, Befund, x, y" in str(caught.value)
    flat = Look(Path("in"), NAMES, look("x", tables=(table,)).tables)
    with pytest.raises(UserError, match=r"into a folder io .* Liste\.csv has no column with"):
        proposed(flat, Words())
