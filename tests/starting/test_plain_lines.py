from __future__ import annotations

import json
from pathlib import Path

import pytest

from casting_inspect.starting.plain_lines import audited, auditing, learning, prepared


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("next: casting-inspect audit data.root=x", None),
        ("", None),
        ("checking, copying ━━━━━━━━━━━━ 120/120 0:00:00 0:00:00", None),
        ("1 files that are no pictures were ignored: list.csv", None),
        ("3 rejected: a.png: truncated", "3 rejected: a.png: truncated"),
    ],
)
def test_of_prepare_all_but_the_next_command(line: str, shown: str | None) -> None:
    assert prepared(line) == shown


def test_of_an_audit_which_pass_is_done() -> None:
    assert auditing("decoding ━━━━━━━━ 400/400 0:00:05 0:00:00") == "decoding: 400/400 done"
    assert auditing("page: out/audit.html") is None


def test_of_training_how_far_it_is() -> None:
    times = iter([10.0, 15.0, 85.4, 700.0])
    told = learning(lambda: next(times))
    assert told("inner fold 1 of 5: 256 train, 64 held out") is None
    assert told("running the frozen backbone over 400 pictures once") == (
        "0:05  every picture goes through the network once"
    )
    assert told("fold 1 (2 of 5)") == "1:15  part 2 of 5 is tested by what the others teach"
    assert told("fit on all groups: 3 epochs; ...") == "11:30  once more on all castings, for use"


def test_of_an_audit_what_is_grave(tmp_path: Path) -> None:
    def finding(severity: str, count: int) -> dict[str, object]:
        return {"severity": severity, "count": count, "sentence": f"{severity}.", "advice": "Do."}

    findings = {
        "a": finding("note", 5),
        "b": finding("shortcut", 1),
        "c": finding("conflict", 1),
        "d": finding("undecodable", 0),
        "e": {**finding("undecodable", 2), "advice": ""},
    }
    record = tmp_path / "audit.json"
    record.write_text(json.dumps({"findings": findings}))
    *grave, shortcut = audited(record)
    assert grave == ["conflict. Do.", "undecodable."]
    assert "light or background alone" in shortcut
