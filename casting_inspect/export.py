"""`export`: a bundle of a finished run that is fast, and that agrees with it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from casting_inspect.config import command_line, run_command


def job(cfg: DictConfig) -> None:
    """Write the bundle and say what it is, or why there is none."""
    from casting_inspect.data.outcome import say
    from casting_inspect.deployment.build import Disagreement, Wanted, export_run

    formats = OmegaConf.to_container(cfg.format) if OmegaConf.is_list(cfg.format) else [cfg.format]
    assert isinstance(formats, list)
    runtimes = {"openvino": "openvino", "onnx": "onnxruntime"}

    def path(value: str | None) -> Path | None:
        return None if value is None else Path(value)

    wanted = Wanted(
        run=Path(cfg.run),
        out=Path(cfg.out),
        runtimes=tuple(runtimes[name] for name in dict.fromkeys(map(str, formats))),
        precision=cfg.precision,
        allow_fold=cfg.allow_fold,
        max_changes=cfg.max_verdict_changes,
        root=path(cfg.root),
        parity_root=path(cfg.parity.root),
        parity_manifest=path(cfg.parity.manifest),
        parity_limit=cfg.parity.limit,
        pictures=cfg.pictures,
        weights_licence=cfg.weights_licence,
        allow_targets=tuple(cfg.allow_targets),
        command=tuple(command_line()),
    )
    try:
        scorer = export_run(wanted, say)
    except Disagreement as refused:
        say(f"nothing is written: {refused}")
        raise SystemExit(1) from None
    limits = scorer.limits
    between = "" if limits.low == limits.high else f", review above {limits.low:.6g}"
    say(f"normal above p_normal {limits.high:.6g}{between}; digest {scorer.digest[:12]}")
    say(f"bundle: {wanted.out}")


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("export", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
