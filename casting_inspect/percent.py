"""A share in words: per cent, never rounded to none or all."""

from __future__ import annotations


def percent(share: float | None, decimals: int = 2) -> str:
    """Return a share from 0 to 1 as percent, or a dash where it is undefined.

    A share that is not 0 or 1 is never rounded to 0 % or 100 %.
    """
    if share is None:
        return "-"
    step = 10.0**-decimals
    text = f"{100.0 * share:.{decimals}f}"
    if share > 0.0 and float(text) == 0.0:
        return f"< {step:.{decimals}f} %"
    if share < 1.0 and float(text) == 100.0:
        return f"> {100.0 - step:.{decimals}f} %"
    return f"{text} %"
