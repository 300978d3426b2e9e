"""From a folder to an answer: agree, prepare, audit, say how long, train, answer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml  # type: ignore[import-untyped]
from rich.console import Console

from casting_inspect.data.archive import is_within
from casting_inspect.data.folds import class_counts, classes_of, conflicts_of, units_of
from casting_inspect.data.manifest import read_manifest
from casting_inspect.data.outcome import HELD, printable
from casting_inspect.data.scale import scale_words
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES
from casting_inspect.shell import typed
from casting_inspect.starting.afresh import command_afresh
from casting_inspect.starting.agreement import LEAST, agreed, keep
from casting_inspect.starting.encoding import require_unicode_places
from casting_inspect.starting.enough import answer, bounds_of, too_few
from casting_inspect.starting.mixture import mixed_sizes
from casting_inspect.starting.plain_lines import audited, auditing, learning, prepared
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.questions import Person, Say
from casting_inspect.starting.steps import run_step
from casting_inspect.starting.wish import Wish
from casting_inspect.sweep_runs import ANOTHER

_STEPS: Final = 3
_OF_UNITS: Final = ["unit", "label", "group", "group_wide"]


def start(wish: Wish, *, yes: bool) -> list[str]:
    """Go all the way, or on from where an earlier start was interrupted.

    Args:
        wish: What the user wants.
        yes: Whether nobody is to be asked.

    Returns:
        The two sentences of the answer.

    Raises:
        UserError: For anything that the user can mend.
        SystemExit: With the exit code of a step that failed; it has said why.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True, emoji=False)

    def say(text: str) -> None:
        console.print(printable(text))

    require_unicode_places(wish)
    if wish.out.exists() and not wish.out.is_dir():
        raise UserError(f"out={wish.out}: is a file; name a folder")
    if is_within(wish.out, wish.source):
        raise UserError(
            f"out={wish.out}: lies in source={wish.source}, where nothing is changed; give an out= "
            "outside it"
        )
    record = agreed(wish, Person.at_terminal(say, yes=yes))
    if wish.source.exists() or not (wish.pictures / "manifest.csv").is_file():
        words = prepare_words(wish, Words.of(record["words"]))
        title, instead = "check and copy the pictures", partial(_other_pictures, wish)
        run_step(1, _STEPS, title, words, say, prepared, wish.log, instead)
    else:  # a stick that is back in its drawer
        say(f"{wish.source} is not there any more; its copy in {wish.pictures} is whole")
    title = "find out which pictures show one casting, and what they are worth"
    run_step(2, _STEPS, title, audit_words(wish), say, auditing, wish.log)
    frame = read_manifest(wish.audit / "manifest.csv")
    for line in (_castings(frame), *audited(wish.audit / "audit.json")):
        say(f"  {line}")
    _require_castings(wish, frame)
    course = record.get("course")
    if course is None:
        course = _course(wish, frame, say)
        record = keep(wish, record, course=course)
    else:
        _say_if_outdated(wish, course, say)
    if not _is_finished(wish):
        say("")
        say(
            f"Learning will take about {course['time']} on this machine. Interrupted, the same "
            "command goes on where it was."
        )
    title = "learn, and test on castings never seen"
    words = train_words(wish, course)
    told, instead = learning(time.monotonic), partial(_other_run, wish)
    run_step(3, _STEPS, title, words, say, told, wish.log, instead)
    _report_again(wish, record, say)
    return _answered(wish, say)


def prepare_words(wish: Wish, words: Words) -> list[str]:
    """Return the command that checks and copies the pictures."""
    where = [f"source={wish.source}", f"out={wish.pictures}", "on_bad=skip"]
    return ["prepare", *where, *words.overrides()]


def audit_words(wish: Wish) -> list[str]:
    """Return the command that finds which pictures show one casting."""
    return ["audit", f"data.root={wish.pictures}", f"out={wish.audit}"]


def train_words(wish: Wish, course: Mapping[str, Any]) -> list[str]:
    """Return the command that trains, tests, and fits once more on all castings."""
    return [
        "train",
        f"data.root={wish.pictures}",
        f"data.manifest={wish.audit / 'manifest.csv'}",
        *course["words"],
        "data.fold=final",
        f"decide.max_escape={wish.limits.max_escape}",
        f"report.max_overkill={wish.limits.max_overkill}",
        "callbacks.progress_bar=false",
        "logger=none",
        *([f"cache.dir={wish.cache}"] if wish.cache else []),
        f"hydra.run.dir={wish.run}",
        "resume=auto",
    ]


def _other_pictures(wish: Wish, refusal: str) -> str | None:
    """Return what to do where `prepare` refuses because an earlier start had other pictures."""
    if HELD not in refusal:
        return None
    return (
        f"{wish.source}: has other pictures, or names other classes and castings, than at the "
        f"earlier start in out={wish.out}, which is left as it is; to start with what there is "
        f"now, type {command_afresh(wish)}"
    )


def _other_run(wish: Wish, refusal: str) -> str | None:
    """Return what to do where `train` refuses because an earlier start learnt from other things."""
    if ANOTHER not in refusal:
        return None
    return (
        f"{wish.run}: has learnt from other weights, groups or settings than there are now, and is "
        f"left as it is; to learn with what there is now, type {command_afresh(wish)}"
    )


def _castings_of(frame: pd.DataFrame) -> tuple[int, int]:
    """Return the numbers of defective and of good castings; one with both is left out."""
    table = frame.assign(unit=units_of(frame)).reindex(columns=_OF_UNITS, fill_value="")
    pure = table[~table["unit"].isin(conflicts_of(table)["unit"])]
    counts = class_counts(classes_of(pure))
    return counts[CLASS_NAMES[0]], counts[CLASS_NAMES[1]]


def _castings(frame: pd.DataFrame) -> str:
    defective, good = _castings_of(frame)
    return f"{len(frame):,} pictures of {defective:,} defective and {good:,} good castings"


def _require_castings(wish: Wish, frame: pd.DataFrame) -> None:
    """Refuse what nothing can be learnt from, now that castings are known."""
    defective, good = _castings_of(frame)
    refusal = too_few(defective, good, LEAST)
    if refusal:
        raise UserError(f"{wish.source}: {len(frame):,} pictures, but {refusal}")


def _course(wish: Wish, frame: pd.DataFrame, say: Say) -> dict[str, Any]:
    """Choose network and picture size by what a few pictures take; say what that means."""
    from casting_inspect.starting.course import chosen_course

    paths = [Path(wish.pictures, path) for path in frame["path"]]
    longest = int(frame[["width", "height"]].max().max())
    course = chosen_course(wish, paths, longest, say)
    for words in (mixed_sizes(frame), scale_words(longest, course["image_size"])):
        if words:
            say(f"careful: {words}")
    return course


def _is_finished(wish: Wish) -> bool:
    try:
        record = json.loads((wish.run / "run.json").read_text(encoding="utf-8"))
        return bool(record["status"] == "finished")
    except (OSError, ValueError, KeyError, TypeError):  # and `train` says what is wrong with it
        return False


def _say_if_outdated(wish: Wish, course: Mapping[str, Any], say: Say) -> None:
    from casting_inspect.starting.course import outdated

    words = outdated(wish, course)
    if words is not None:
        say(words)


def _report_again(wish: Wish, record: dict[str, Any], say: Say) -> None:
    """Write the run's pages anew where they hold other limits than those asked for now."""
    from casting_inspect.evaluation.report.write import write_report

    now = vars(wish.limits)
    if record.get("reported", _limits_trained(wish)) != now:
        say("  its pages are written again, for the limits asked for now")
        write_report(wish.run, limits=now)
        keep(wish, record, reported=now)


def _limits_trained(wish: Wish) -> dict[str, Any]:
    """Return the limits that the run itself was given."""
    config = yaml.safe_load((wish.run / "config.yaml").read_text(encoding="utf-8"))
    return {
        "max_escape": config["decide"]["max_escape"],
        "max_overkill": config["report"]["max_overkill"],
    }


def _answered(wish: Wish, say: Say) -> list[str]:
    """Say the two sentences, and where to read and what to do next."""
    metrics = json.loads((wish.run / "metrics.json").read_text(encoding="utf-8"))
    decision = metrics.get("protocol", {}).get("decision") or {}
    strict = decision.get("facts", {}).get("supported") is False
    sentences = answer(metrics["test"], wish.limits, bounds_of(wish.run), strict=strict)
    say("")
    for sentence in sentences:
        say(sentence)
    say("")
    say(f"Why, and which castings were judged wrongly: {wish.run / 'report.html'}")
    say(f"What the pictures are worth as evidence: {wish.audit / 'audit.html'}")
    asked = [f"{key}={value}" for key, value in vars(wish.limits).items()]
    say(f"What to photograph for an acceptance test: casting-inspect {typed(['plan', *asked])}")
    return sentences
