"""`audit`: what a data set is worth as evidence, and a manifest with the group of every file."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import resolved, run_command
from casting_inspect.shell import typed


def job(cfg: DictConfig) -> None:
    """Audit a data set, say the verdict and where the page is."""
    from casting_inspect.auditing.run import audit_folder
    from casting_inspect.data.outcome import say

    plain = resolved(cfg)
    fail_on = plain["fail_on"]
    result = audit_folder(
        Path(cfg.data.root),
        Path(cfg.out),
        manifest=Path(cfg.data.manifest) if cfg.data.manifest else None,
        group_from=cfg.data.group_from,
        lot_from=cfg.data.lot_from,
        normal=plain["data"]["normal"],
        fail_on=[fail_on] if isinstance(fail_on, str) else fail_on,
        aliases=plain["data"]["aliases"],
    )
    verdict = result.audit.verdict
    say(verdict.headline)
    for reason in verdict.reasons:
        say(f"  {reason}")
    if result.kept_manifest is not None:
        say(f"the manifest that was there before: {result.kept_manifest}")
    say(f"page: {result.out / 'audit.html'}")
    words = [f"data.root={cfg.data.root}"]
    if Path(cfg.data.root).resolve() != result.out.resolve():
        words.append(f"data.manifest={result.out / 'manifest.csv'}")
    say(f"next: casting-inspect train {typed(words)}")
    if result.hits:
        found = ", ".join(f"{each.severity} ({each.title.lower()})" for each in result.hits)
        say(f"failed, as fail_on asks: {found}")
        raise SystemExit(1)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("audit", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
