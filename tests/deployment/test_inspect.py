from __future__ import annotations

import csv
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from stubs import StubScorer, generated, grey_png, verdict_of_grey, write_grey

from casting_inspect.deployment.drop import Drop, watch
from casting_inspect.deployment.inspect import Outcome, Wanted, inspect
from casting_inspect.deployment.ledger import Ledger
from casting_inspect.deployment.placing import Sorting
from casting_inspect.deployment.rows import Row, Table
from casting_inspect.deployment.sources import Item, Items, open_items
from casting_inspect.deployment.stream import Pace
from casting_inspect.deployment.verdict import Limits
from casting_inspect.errors import UserError

VALUES = [0, 60, 110, 130, 200, 255]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for value in VALUES:
        write_grey(tmp_path / "in" / f"{value:03d}.png", value)
    (tmp_path / "in" / "broken.png").write_bytes(grey_png(255)[:-9])
    return tmp_path / "in"


def run(items: Items, wanted: Wanted, scorer: StubScorer | None = None, **more: object) -> Outcome:
    said: list[str] = []
    pace = Pace(batch=4, live=items.live)
    return inspect(items, lambda: scorer or StubScorer(), wanted, pace, said.append, **more)  # type: ignore[arg-type]


def rows_in(out: Path) -> list[Row]:
    return list(Table(out, resume=True).rows())


def test_every_picture_has_its_row_and_its_count(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    outcome = run(open_items(str(folder)), Wanted(out))
    rows = rows_in(out)
    assert [row.path for row in rows] == [*(f"{v:03d}.png" for v in VALUES), "broken.png"]
    assert [row.verdict for row in rows] == [*map(verdict_of_grey, VALUES), "error"]
    assert rows[-1].p_normal is None
    assert "truncated" in rows[-1].error
    counts = {"normal": 2, "defective": 2, "review": 2, "error": 1}
    assert dict(outcome.tally.counts) == counts
    assert outcome.tally.words() == "2 passed, 2 rejected, 2 doubtful, 1 error"
    codes = [outcome.tally.exit_code(fail_on) for fail_on in (None, "defective", "review")]
    assert codes == [3, 1, 1]


def test_what_is_left_out_is_counted_and_named(folder: Path, tmp_path: Path) -> None:
    write_grey(folder / "masks" / "a.png", 0)
    said: list[str] = []
    inspect(open_items(str(folder)), StubScorer, Wanted(tmp_path / "v.csv"), Pace(), said.append)
    assert "left out, no pictures of parts: 1, masks/a.png" in said


def test_it_goes_on_where_it_was_left(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.jsonl"
    run(open_items(str(folder)), Wanted(out, limit=3))
    write_grey(folder / "000a.png", 250)  # between those that are done
    scorer = StubScorer()
    outcome = run(open_items(str(folder)), Wanted(out, resume=True), scorer)
    assert sum(scorer.batches) == 4
    names = [row.path for row in rows_in(out)]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert outcome.tally.before == 3
    assert outcome.tally.counts.total() == 8
    before = out.read_bytes()
    again = run(open_items(str(folder)), Wanted(out, resume=True))
    assert again.tally.done == 0
    assert out.read_bytes() == before


def test_another_model_does_not_go_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    run(open_items(str(folder)), Wanted(out, limit=3))
    before = out.read_bytes()
    with pytest.raises(UserError, match="was begun with another model"):
        run(open_items(str(folder)), Wanted(out, resume=True), StubScorer(digest="cd" * 32))
    assert out.read_bytes() == before


@pytest.mark.parametrize("limits", [Limits(0.6, 0.6), Limits(0.7, 0.4), Limits(0.6, 0.3)])
def test_another_threshold_does_not_go_on(folder: Path, tmp_path: Path, limits: Limits) -> None:
    out, other = tmp_path / "v.csv", StubScorer()
    other.limits = limits  # of a run, whose digest is its checkpoint's alone
    run(open_items(str(folder)), Wanted(out, limit=3))
    before = out.read_bytes()
    with pytest.raises(UserError, match="was begun with another model or threshold"):
        run(open_items(str(folder)), Wanted(out, resume=True), other)
    assert out.read_bytes() == before


@pytest.mark.parametrize("how", ["copy", "move"])
def test_a_picture_leaves_when_its_row_is_safe_from_a_power_cut(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """At every moment the pictures that have left are among the rows of the last fsync."""
    out, safe = tmp_path / "v.csv", set[str]()
    gone_unsafe: list[str] = []
    names = {path.name for path in folder.iterdir()}

    def sync(_: int) -> None:
        gone_unsafe.extend(names - {path.name for path in folder.iterdir()} - safe)
        with Path(f"{out}.part").open(encoding="utf-8", newline="") as table:
            safe.update(row["path"] for row in csv.DictReader(table))

    monkeypatch.setattr("os.fsync", sync)
    run(open_items(str(folder)), Wanted(out, sorting=Sorting(tmp_path / "s", how)))
    assert not gone_unsafe
    left = names - {path.name for path in folder.iterdir()}
    assert (safe, left) == ((names, names) if how == "move" else (set(), set()))


@pytest.mark.parametrize("how", ["copy", "move"])
def test_what_a_kill_left_unsorted_is_sorted(folder: Path, tmp_path: Path, how: str) -> None:
    out, sorting = tmp_path / "v.csv", Sorting(tmp_path / "sorted", how)
    run(open_items(str(folder)), Wanted(out, limit=3))  # rows, and not sorted
    run(open_items(str(folder)), Wanted(out, resume=True, sorting=sorting))
    found = {path.name: path.parent.name for path in sorting.folder.rglob("*") if path.is_file()}
    assert found == {row.path: row.verdict for row in rows_in(out)}
    assert len(found) == 7
    assert any(folder.iterdir()) == (how == "copy")


def test_a_zip_is_sorted_and_mapped(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"lot/{path.name}")
    wanted = Wanted(
        tmp_path / "v.csv",
        sorting=Sorting(tmp_path / "sorted", "copy"),
        heatmaps=tmp_path / "heat",
        heatmaps_of="rejected",
    )
    run(open_items(str(tmp_path / "z.zip")), wanted, StubScorer(heat=True))
    assert (tmp_path / "sorted/normal/lot/255.png").read_bytes() == grey_png(255)
    drawn = sorted(
        path.relative_to(tmp_path / "heat").as_posix()
        for path in (tmp_path / "heat").rglob("*.jpg")
    )
    assert drawn == [
        *(f"defective/lot/{v:03d}.png.heatmap.jpg" for v in (0, 60)),
        *(f"review/lot/{v:03d}.png.heatmap.jpg" for v in (110, 130)),
    ]


def drop_run(folder: Path, wanted: Wanted, count: int, **more: object) -> Outcome:
    """Inspect so many pictures of a drop folder."""
    stop = threading.Event()
    timer = threading.Timer(20, stop.set)
    timer.start()
    outputs = tuple(path for path in (wanted.done,) if path)
    drop = Drop(folder, poll=0.02, settle=0.1, outputs=outputs)
    limited = Wanted(**{**vars(wanted), "limit": count})
    ledger = Ledger(wanted.out.with_name(f"{wanted.out.name}.seen"))
    try:
        return run(watch(drop, stop, print), limited, ledger=ledger, stop=stop, **more)
    finally:
        timer.cancel()


@pytest.mark.parametrize("moved", [False, True])
def test_a_drop_folder_is_left_and_taken_up_again(
    folder: Path, tmp_path: Path, moved: bool
) -> None:
    out = tmp_path / "v.csv"
    wanted = Wanted(out, resume=True, done=folder / "done" if moved else None)
    drop_run(folder, wanted, 3)
    assert len(rows_in(out)) == 3
    drop_run(folder, wanted, 4)
    assert sorted(row.path for row in rows_in(out)) == sorted(
        path.name for path in (folder / "done" if moved else folder).iterdir()
    )
    write_grey(folder / "000.png", 255, 40)  # the camera counts from 0 again
    outcome = drop_run(folder, wanted, 1)
    last = rows_in(out)[-1]
    assert (last.path, last.verdict) == ("000.png", "normal")
    assert outcome.tally.counts.total() == 8
    if moved:
        assert {path.name for path in folder.iterdir()} == {"done"}
        assert (folder / "done" / "000-2.png").is_file()


def test_no_power_cut_leaves_a_row_without_its_line_in_the_ledger(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever part of the table reaches the disk, the ledger is there before it."""
    out, safe = tmp_path / "v.csv", [0]
    write, too_early = Table.write, list[int]()

    def sync(number: int) -> None:
        if os.path.samestat(os.fstat(number), (tmp_path / "v.csv.seen").stat()):
            safe.append(lines_in(tmp_path / "v.csv.seen"))

    def watched(table: Table, rows: list[Row]) -> None:
        before = max(0, lines_in(out) - 1)
        if before + len(rows) > safe[-1]:
            too_early.append(before)
        write(table, rows)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Table, "write", watched)
    drop_run(folder, Wanted(out, resume=True), 7)
    assert too_early == []
    assert len(rows_in(out)) == safe[-1] == 7


def lines_in(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


class PullsAt(StubScorer):
    """Lets something happen with its first batch."""

    def __init__(self, pull: Callable[[], object]) -> None:
        super().__init__()
        self._pull = pull

    def __call__(self, pictures, heatmaps=False):  # type: ignore[no-untyped-def]
        if not self.batches:
            self._pull()
        return super().__call__(pictures, heatmaps)


def source_of(kind: str, folder: Path) -> Items:
    """Return the pictures of a folder as one of the sources that lie on a stick."""
    if kind == "folder":
        return open_items(str(folder))
    if kind == "glob":
        return open_items(f"{folder}/**/*.png")
    if kind == "manifest":
        rows = (f"{path.relative_to(folder)}\n" for path in sorted(folder.rglob("*.png")))
        (folder / "list.csv").write_text("path\n" + "".join(rows), encoding="utf-8")
        return open_items(str(folder / "list.csv"))
    lines = (os.fsencode(path) for path in sorted(folder.rglob("*.png")))
    return open_items("-", lines=list(lines))


@pytest.mark.parametrize("kind", ["folder", "glob", "manifest", "list"])
def test_a_stick_that_is_pulled_is_no_bad_picture(tmp_path: Path, kind: str) -> None:
    folder, aside, out = tmp_path / "stick", tmp_path / "aside", tmp_path / "v.csv"
    for number in range(60):
        write_grey(folder / str(number % 3) / f"{number:02d}.png", 255)
    pulls = PullsAt(lambda: folder.rename(aside))
    with pytest.raises(UserError, match=r"was there a moment ago.*resume=true goes on"):
        run(source_of(kind, folder), Wanted(out), pulls)
    assert not out.exists()
    done = rows_in(out)
    assert 0 < len(done) < 60
    assert {row.verdict for row in done} == {"normal"}
    aside.rename(folder)
    outcome = run(source_of(kind, folder), Wanted(out, resume=True))
    assert dict(outcome.tally.counts) == {"normal": 60, "defective": 0, "review": 0, "error": 0}
    assert len({row.path for row in rows_in(out)}) == len(rows_in(out)) == 60


def test_a_picture_that_somebody_removes_is_an_error_of_its_own(
    folder: Path, tmp_path: Path
) -> None:
    items = open_items(str(folder))
    (folder / "130.png").unlink()
    outcome = run(items, Wanted(tmp_path / "v.csv"))
    assert outcome.tally.counts["error"] == 2


def test_a_stick_that_is_pulled_before_its_pictures_are_sorted(
    folder: Path, tmp_path: Path
) -> None:
    out, aside = tmp_path / "v.csv", tmp_path / "aside"
    (folder / "broken.png").unlink()
    sorting = Sorting(tmp_path / "sorted", "copy")

    class Late(StubScorer):
        def __call__(self, pictures, heatmaps=False):  # type: ignore[no-untyped-def]
            found = super().__call__(pictures, heatmaps)
            if sum(self.batches) == len(VALUES):
                folder.rename(aside)
            return found

    with pytest.raises(UserError, match="was there a moment ago"):
        run(open_items(str(folder)), Wanted(out, sorting=sorting), Late())
    aside.rename(folder)
    run(open_items(str(folder)), Wanted(out, resume=True, sorting=sorting))
    assert len(list(sorting.folder.rglob("*.png"))) == len(rows_in(out)) == len(VALUES)


def test_a_drop_folder_that_goes_while_it_is_read_is_waited_for(tmp_path: Path) -> None:
    folder, aside, out = tmp_path / "drop", tmp_path / "aside", tmp_path / "v.csv"
    for number in range(40):
        write_grey(folder / f"{number:02d}.png", 255)

    def pull() -> None:
        folder.rename(aside)
        threading.Timer(0.4, aside.rename, [folder]).start()

    outcome = drop_run(folder, Wanted(out, resume=True), 40, scorer=PullsAt(pull))
    assert outcome.tally.counts["normal"] == 40
    assert sorted(row.path for row in rows_in(out)) == [f"{n:02d}.png" for n in range(40)]


def test_a_drop_folder_that_is_unmounted_and_mounted_again_doubles_no_row(
    folder: Path, tmp_path: Path
) -> None:
    out, aside = tmp_path / "v.csv", tmp_path / "aside"

    def unmount_and_mount() -> None:
        while lines_in(out) < 8:
            time.sleep(0.01)
        folder.rename(aside)
        folder.mkdir()  # a place to mount on is an empty folder
        time.sleep(0.3)  # a dozen looks
        folder.rmdir()
        aside.rename(folder)
        time.sleep(0.3)
        write_grey(folder / "new.png", 255)

    thread = threading.Thread(target=unmount_and_mount, daemon=True)
    thread.start()
    drop_run(folder, Wanted(out, resume=True), 8)
    thread.join()
    assert sorted(row.path for row in rows_in(out)) == sorted(p.name for p in folder.iterdir())
    assert rows_in(out)[-1].path == "new.png"


def test_two_inspections_do_not_write_one_table(folder: Path, tmp_path: Path) -> None:
    out, second = tmp_path / "v.csv", list[str]()

    def start_another() -> None:
        with pytest.raises(UserError, match="another process is writing it"):
            run(open_items(str(folder)), Wanted(out, resume=True))
        second.append("refused")

    (folder / "broken.png").unlink()
    run(open_items(str(folder)), Wanted(out, resume=True), PullsAt(start_another))
    assert second == ["refused"]
    assert len(rows_in(out)) == len(VALUES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "v.csv"]


def test_what_a_kill_left_in_the_drop_folder_is_moved(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    drop_run(folder, Wanted(out, resume=True), 4)  # rows, and nothing moved
    drop_run(folder, Wanted(out, resume=True, done=tmp_path / "done"), 3)
    assert len(rows_in(out)) == 7
    assert len(list((tmp_path / "done").iterdir())) == 7
    assert not any(folder.iterdir())


@pytest.mark.parametrize("way", ["done", "sorted"])
def test_a_picture_that_is_written_over_while_it_is_judged_is_not_put_away_for_it(
    tmp_path: Path, way: str
) -> None:
    folder, out = tmp_path / "drop", tmp_path / "v.csv"
    shot = write_grey(folder / "image.png", 255)
    os.utime(shot, (1000, 1000))
    scorer = PullsAt(lambda: write_grey(folder / "image.png", 0))
    done = tmp_path / "done" if way == "done" else None
    sorting = Sorting(tmp_path / "sorted", "copy") if way == "sorted" else None
    drop_run(folder, Wanted(out, done=done, sorting=sorting), 2, scorer=scorer)
    assert [row.verdict for row in rows_in(out)] == ["normal", "defective"]
    put = [path for path in (tmp_path / way).rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in put] == [grey_png(0)]
    assert way == "done" or put[0].parent.name == "defective"


def test_a_picture_that_is_written_over_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    """The later one is not judged in its place."""
    folder, out = tmp_path / "drop", tmp_path / "v.csv"
    os.utime(write_grey(folder / "image.png", 0), (1000, 1000))

    def late(item: Item) -> Item:
        write_grey(folder / "image.png", 255)
        return item

    stop = threading.Event()
    items = watch(Drop(folder, poll=0.02), stop, print)
    items.each = map(late, items.each)
    run(items, Wanted(out, limit=1), ledger=Ledger(tmp_path / "seen"), stop=stop)
    (row,) = rows_in(out)
    assert (row.verdict, "written over" in row.error) == ("error", True)


def test_no_scorer_is_made_for_a_table_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    def never() -> StubScorer:
        raise AssertionError

    with pytest.raises(UserError, match="cannot be written"):
        inspect(open_items(str(folder)), never, Wanted(tmp_path / "file/v.csv"), Pace(), print)


def test_a_model_that_cannot_be_opened_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    def broken() -> StubScorer:
        raise UserError("the bundle is damaged")

    with pytest.raises(UserError, match="damaged"):
        inspect(open_items(str(folder)), broken, Wanted(tmp_path / "v.csv"), Pace(), print)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_full_disk_leaves_whole_rows_to_go_on_with(
    disk_of: Callable[[int], Path], ending: str
) -> None:
    disk = disk_of(64)
    out, ballast = disk / f"v.{ending}", disk / "ballast"
    ballast.write_bytes(bytes(40_000))
    with pytest.raises(UserError, match=r"No space left.*resume=true goes on"):
        run(generated(1000), Wanted(out))
    part = out.with_name(f"{out.name}.part")
    assert part.read_bytes().endswith(b"\n")
    done = len(part.read_bytes().splitlines()) - (ending == "csv")
    assert 0 < done < 1000
    ballast.unlink()
    count = done + 100
    run(generated(count), Wanted(out, resume=True))
    assert [row.path for row in rows_in(out)] == [f"{n:06d}.png" for n in range(count)]


@pytest.mark.slow
def test_memory_is_flat_over_a_hundred_thousand_pictures(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="it measures memory")
    process, seen = psutil.Process(), []

    class Watched(StubScorer):
        def __call__(self, pictures, heatmaps=False):  # type: ignore[no-untyped-def]
            if self.count % 1000 == 0:
                seen.append(process.memory_info().rss)
            self.count += 1
            return StubScorer.__call__(self, pictures, heatmaps)

        count = 0

    scorer = Watched()
    outcome = run(generated(100_000), Wanted(tmp_path / "v.csv"), scorer)
    assert outcome.tally.done == 100_000
    fifth = len(seen) // 5
    assert max(seen[fifth:]) - max(seen[:fifth]) < 4 * 2**20
