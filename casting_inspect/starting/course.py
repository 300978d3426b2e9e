"""How the network is trained: VGG-19 frozen where there are weights, else a small one, in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from casting_inspect.data.decode import auto_window
from casting_inspect.starting.afresh import command_afresh
from casting_inspect.starting.estimate import cnn_seconds, duration, vgg19_course
from casting_inspect.starting.questions import Say
from casting_inspect.starting.wish import Wish
from casting_inspect.training.demo import why_no_weights

SMALL: Final = "model=cnn"
_SAMPLE: Final = 4
"""Pictures that are timed, spread over all."""
_BACKBONE: Final = 0.5
"""Share of the wished time for the pictures' way through VGG-19; audit, heads and report have the
rest."""
_EPOCHS: Final = 15
_SIDE: Final = 128
_FITS: Final = 6
"""Five folds, and once more on all castings."""


def outdated(wish: Wish, course: Mapping[str, Any]) -> str | None:
    """Return what to say of a course chosen for want of weights, or for another time.

    Args:
        wish: What the user wants.
        course: Of an earlier start, as `chosen_course` gave it.

    Returns:
        A line for the screen; None where there are no weights as before, and as much time.
    """
    if SMALL not in course["words"]:
        before = course.get("minutes", wish.minutes)
        if before == wish.minutes or wish.image_size is not None:
            return None
        return (
            f"careful: minutes={wish.minutes:g} changes nothing here, for the size of the pictures "
            f"was chosen at the earlier start, for {before:g}; to choose it again, type "
            f"{command_afresh(wish)}"
        )
    if wish.weights == "none":
        return None
    if why_no_weights(wish.weights, download=False) is not None:
        return None
    return (
        "careful: the earlier start there found no weights for VGG-19, so that the small network "
        "learnt, and its answer is the one below. Now there are weights: to learn with VGG-19, "
        f"which is better, type {command_afresh(wish)}"
    )


def chosen_course(
    wish: Wish, pictures: Sequence[Path], longest_side: int, say: Say
) -> dict[str, Any]:
    """Return how the network is trained, as plain data, and say why.

    Args:
        wish: What the user wants.
        pictures: All of them.
        longest_side: Of the largest, in pixels.
        say: Prints a line.

    Returns:
        ``words`` for `train`, ``image_size``, ``time`` in words, and the ``minutes`` wished for.

    Raises:
        UserError: If a file of weights was named that is not there.
    """
    reason = why_no_weights(wish.weights)
    if reason is not None:
        why = "is not used" if wish.weights == "none" else "cannot be used"
        say(
            f"VGG-19 {why}: {reason} A small network learns from nothing instead, which is worse; "
            "with weights the answer below would be another."
        )
        side = wish.image_size or _SIDE
        seconds = cnn_seconds(len(pictures), side, _EPOCHS, _FITS)
        words = [SMALL, f"model.image_size={side}", "finetune.head_lr=2e-3"]
        words += ["data.inner_folds=1", f"trainer.max_epochs={_EPOCHS}"]
        return {
            "words": words,
            "image_size": side,
            "time": duration(seconds),
            "minutes": wish.minutes,
        }
    some = [pictures[at * len(pictures) // _SAMPLE] for at in range(_SAMPLE)]
    course = vgg19_course(
        some,
        len(pictures),
        wish.weights,
        longest_side=longest_side,
        budget=60 * wish.minutes * _BACKBONE,
        size=wish.image_size,
        window=auto_window(some),
    )
    words = ["model=vgg19", f"model.weights={wish.weights}", "model.head=pyramid"]
    words += [f"model.image_size={course.image_size}", "finetune=probe"]
    return {
        "words": words,
        "image_size": course.image_size,
        "time": duration(course.seconds),
        "minutes": wish.minutes,
    }
