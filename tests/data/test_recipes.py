from __future__ import annotations

import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from casting_inspect.data.decode import decode
from casting_inspect.data.recipes import Plan, check_counts, plan_recipe
from casting_inspect.errors import UserError

SHARED = Path(os.environ.get("CASTING_INSPECT_SHARED", Path(__file__).parents[2].parent / "shared"))
ZIP = SHARED / "data" / "casting_product_kaggle.zip"
SMALL, LARGE = "casting_data/casting_data", "casting_512x512/casting_512x512"


def public_set() -> list[str]:
    """The public set's paths, with invented names that overlap as the real ones do."""
    paths = []
    for label, train, test, large, shared in (
        ("def_front", 3_758, 453, 781, 379),
        ("ok_front", 2_875, 262, 519, 257),
    ):
        paths += [f"{SMALL}/train/{label}/{n}.jpeg" for n in range(train)]
        paths += [f"{SMALL}/test/{label}/{n}.jpeg" for n in range(train, train + test)]
        first = train + test - shared  # the last names of test come again
        paths += [f"{LARGE}/{label}/{n}.jpeg" for n in range(first, first + large)]
    return paths


PUBLIC = public_set()


def counts(plan: Plan, *names: str) -> Counter[tuple[str, ...]]:
    return Counter(tuple(getattr(pick, name) for name in names) for pick in plan.picks)


@pytest.mark.parametrize("prefix", ["", "archive/", "down load/x/"])
def test_paper_pours_three_folders_into_two(prefix: str) -> None:
    plan = plan_recipe("paper", [prefix + path for path in reversed(PUBLIC)], [], "in")
    assert counts(plan, "label") == {("defective",): 4_613, ("normal",): 3_399}
    assert counts(plan, "split") == {("",): 8_012}
    # of one name the 512 x 512 file stays, test's is gone
    assert counts(plan, "delivered") == {("train",): 6_633, ("test",): 79, ("512",): 1_300}
    assert plan.notes == ["636 files were overwritten by a later one of the same name"]
    last = next(pick for pick in plan.picks if pick.path == "defective/4210.jpeg")
    assert last.source == f"{prefix}{LARGE}/def_front/4210.jpeg"
    assert not plan.refused
    assert [pick.path for pick in plan.picks] == sorted(pick.path for pick in plan.picks)


def test_vendor_keeps_the_vendors_split() -> None:
    plan = plan_recipe("vendor", PUBLIC, [], "in")
    assert counts(plan, "split", "label") == {
        ("train", "defective"): 3_758,
        ("train", "normal"): 2_875,
        ("test", "defective"): 453,
        ("test", "normal"): 262,
    }
    assert plan.notes == ["1300 files of the 512 x 512 folder are no part of recipe=vendor"]
    alone = plan_recipe("vendor", [p for p in PUBLIC if p.startswith(SMALL)], [], "in")
    assert (alone.picks, alone.notes) == (plan.picks, [])
    lower = plan_recipe(
        "vendor", [p[len("casting_data/") :] for p in PUBLIC if SMALL in p], [], "x"
    )
    assert [pick.path for pick in lower.picks] == [pick.path for pick in plan.picks]


def test_vendor_files_of_one_name_do_not_collide() -> None:
    swapped = f"{SMALL}/test/def_front/4000.jpeg"
    same = [f"{SMALL}/test/def_front/0.jpeg" if path == swapped else path for path in PUBLIC]
    plan = plan_recipe("vendor", same, [], "in")
    paths = {pick.path for pick in plan.picks}
    assert len(paths) == 7_348
    assert {"train/defective/0.jpeg", "test/defective/0.jpeg"} <= paths


def test_all_loses_no_name() -> None:
    plan = plan_recipe("all", PUBLIC, [], "in")
    assert len({pick.path for pick in plan.picks}) == len({p.source for p in plan.picks}) == 8_648
    assert counts(plan, "delivered", "split") == {
        ("train", "train"): 6_633,
        ("test", "test"): 715,
        ("512", ""): 1_300,
    }


def test_a_count_that_is_off_is_named() -> None:
    short = [path for path in PUBLIC if not path.endswith("train/def_front/7.jpeg")]
    with pytest.raises(UserError, match=r"in: recipe=paper gives 4,612 defective instead of 4,613"):
        plan_recipe("paper", short, [], "in")
    with pytest.raises(UserError) as caught:
        plan_recipe("paper", [p for p in PUBLIC if "512" not in p], [], "in")
    assert "normal instead of 3,399" in str(caught.value)
    more = [*PUBLIC, f"{SMALL}/train/ok_front/new.jpeg"]
    for recipe, number in (("vendor", "3,138"), ("all", "3,657")):
        with pytest.raises(UserError, match=f"gives {number} normal instead of"):
            plan_recipe(recipe, more, [], "in")
    with pytest.raises(UserError, match="0 normal instead of 3,399 after 2 rejected"):
        check_counts("paper", {"defective": 4_613}, "in", 2)
    check_counts("folder", {}, "in")


def test_what_is_no_public_set_says_so() -> None:
    with pytest.raises(UserError, match="take recipe=folder"):
        plan_recipe("paper", ["normal/a.png", "train/ok/b.png", "c.png"], [], "in")
    with pytest.raises(UserError, match=r"may be in 'set\.zip': give that as source"):
        plan_recipe("paper", [], ["set.zip"], "in")
    twice = [*PUBLIC, f"copy/{PUBLIC[0]}"]
    with pytest.raises(UserError, match="holds the set twice"):
        plan_recipe("all", twice, [], "in")
    plan = plan_recipe("all", [*PUBLIC, "extra/a.png"], [], "in")
    assert plan.refused == [("extra/a.png", "not in a class folder")]


def test_any_tree_keeps_its_paths() -> None:
    pictures = ["Test/OK/a.png", "Test/OK/sub/a.png", "NG/val/b.png", "c.png", "ok/bad/d.png"]
    plan = plan_recipe("folder", pictures, ["Thumbs.db"], "in")
    assert [tuple(vars(pick).values()) for pick in plan.picks] == [
        ("NG/val/b.png", "NG/val/b.png", "defective", "val", "NG/val"),
        ("Test/OK/a.png", "Test/OK/a.png", "normal", "test", "Test/OK"),
        ("Test/OK/sub/a.png", "Test/OK/sub/a.png", "normal", "test", "Test/OK/sub"),
    ]
    assert dict(plan.refused)["c.png"] == "not in a class folder"
    assert "contradict" in dict(plan.refused)["ok/bad/d.png"]
    with pytest.raises(UserError, match=r"folders found: 'Prima' \(1\)"):
        plan_recipe("folder", ["Prima/a.png"], ["Mist/x.txt"], "in")
    named = plan_recipe("folder", ["Prima/a.png"], [], "in", {"prima": "normal"})
    assert counts(named, "label") == {("normal",): 1}
    only_conflicts = plan_recipe("folder", ["ok/bad/d.png"], [], "in")
    assert len(only_conflicts.refused) == 1


def test_every_folder_but_the_good_one_is_a_kind() -> None:
    pictures = ["gut/a.png", "Riss/b.png", "ground_truth/Riss/b_mask.png", "c.png"]
    plan = plan_recipe("folder", pictures, [], "in", None, ["Gut"])
    assert counts(plan, "source", "label").keys() == {
        ("gut/a.png", "normal"),
        ("Riss/b.png", "defective"),
    }
    assert plan.more == {"Riss/b.png": {"kind": "Riss"}}
    assert plan.refused == [("c.png", "not in a class folder")]
    assert "'no folder' (1)" in plan.strange
    assert plan.notes == ["1 masks of defects (ground_truth, masks) take no part"]


def test_mvtecs_layout_is_said() -> None:
    pictures = ["train/good/a.png", "test/good/b.png", "test/crack/c.png"]
    plan = plan_recipe("folder", pictures, [], "in")
    assert counts(plan, "label", "split") == {
        ("normal", "train"): 1,
        ("normal", "test"): 1,
        ("defective", "test"): 1,
    }
    assert plan.notes == ["MVTec's layout: every folder of test/ but good is a kind of defect"]


@pytest.mark.real
@pytest.mark.skipif(not ZIP.is_file(), reason="the public set is not here")
def test_the_real_set_gives_the_numbers_of_the_paper() -> None:
    with zipfile.ZipFile(ZIP) as archive:
        names = archive.namelist()
        for recipe, number in (("paper", 8_012), ("vendor", 7_348), ("all", 8_648)):
            plan = plan_recipe(recipe, names, [], "zip")
            assert len(plan.picks) == number
        poured = {}
        for folder in ("train/", "test/", "casting_512x512/"):  # as one would by hand
            for name in names:
                if folder in name:
                    poured[name.split("/")[-2], name.split("/")[-1]] = name
        paper = plan_recipe("paper", names, [], "zip")
        assert {pick.source for pick in paper.picks} == set(poured.values())
        for pick in paper.picks[::700]:
            side = 512 if pick.delivered == "512" else 300
            assert decode(archive.read(pick.source)).shape == (side, side, 3)
