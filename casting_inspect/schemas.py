"""Typed schemas of every command's configuration; defaults and comments stand in conf/."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from casting_inspect.ranges import (
    CHANNELS_LAST,
    CLASS_WEIGHTS,
    CROP,
    DETERMINISTIC,
    DEVICES,
    EVALUATE,
    FAIL_ON,
    FLOOR_SIDE,
    FOLD,
    FORMATS,
    GAMMA,
    LIMIT,
    NAME,
    PENALTIES,
    RUNS,
    TRAIN_SIZE,
    TURNS,
    VERDICT_TABLE,
    WINDOW,
    WORKERS,
    above_zero,
    at_least,
    between,
    one_of,
    text,
)

DECISIONS = ("fixed", "youden", "escape", "cost", "review")  # as in evaluation.decisions
FLOORS = ("floor_histogram", "floor_pixels", "floor_background")  # as in models.floors

# the validation part alone may choose; the test part is never among these
MONITORS = ("val/loss", "val/accuracy", "val/escape_rate", "val/overkill_rate", "val/auroc")


@dataclass
class SyntheticSchema:
    """Synthetic castings; null takes the default set's value."""

    parts: int | None = field(default=MISSING, metadata=at_least(2))
    photographs: int | None = field(default=MISSING, metadata=at_least(1))
    size: int | None = field(default=MISSING, metadata=at_least(64))
    seed: int | None = field(default=MISSING, metadata=at_least(0))
    defective_share: float | None = field(default=MISSING, metadata=between(0, 1))


@dataclass
class DataSchema:
    """The pictures and how they are split and loaded."""

    root: str | None = field(default=MISSING, metadata=text())
    manifest: str | None = field(default=MISSING, metadata=text())
    split: str = field(
        default=MISSING, metadata=one_of("group", "lot", "time", "file", "vendor", "manifest")
    )
    folds: int = field(default=MISSING, metadata=at_least(2))
    fold: Any = field(default=MISSING, metadata=FOLD)
    inner_folds: int = field(default=MISSING, metadata=at_least(1))
    partition: int = field(default=MISSING, metadata=at_least(0))
    on_conflict: str = field(default=MISSING, metadata=one_of("drop", "keep", "error"))
    lot_column: str = field(default=MISSING, metadata=text())
    time_column: str = field(default=MISSING, metadata=text())
    test_from: str | None = field(default=MISSING, metadata=text())
    train_size: Any = field(default=MISSING, metadata=TRAIN_SIZE)
    copies: int | None = field(default=MISSING, metadata=at_least(1))
    val_fraction: float = field(default=MISSING, metadata=between(0, 1, below=True))
    test_fraction: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))
    fit: str = field(default=MISSING, metadata=one_of("pad", "stretch"))
    window: Any = field(default=MISSING, metadata=WINDOW)
    batch_size: int = field(default=MISSING, metadata=at_least(1))
    workers: Any = field(default=MISSING, metadata=WORKERS)
    views: int = field(default=MISSING, metadata=at_least(0))
    limit: int | None = field(default=MISSING, metadata=at_least(2))
    aliases: dict[str, str] = MISSING
    # a run of before these were there goes on without them
    normal: list[str] | None = None
    group_from: str | None = field(default=None, metadata=text())
    lot_from: str | None = field(default=None, metadata=text())
    synthetic: SyntheticSchema = field(default_factory=SyntheticSchema)


@dataclass
class AugmentSchema:
    """How training pictures are changed."""

    name: str = field(default=MISSING, metadata=one_of("none", "light", "strong"))
    turn: str = field(default=MISSING, metadata=one_of("any", "right", "none"))
    mirror: bool = MISSING
    shrink: float = field(default=MISSING, metadata=between(0, 0.5))
    shift: float = field(default=MISSING, metadata=between(0, 0.25))
    brightness: float = field(default=MISSING, metadata=between(0, 0.5))
    contrast: float = field(default=MISSING, metadata=between(0, 0.5))
    gamma: float = field(default=MISSING, metadata=between(0, 0.5))
    slope: float = field(default=MISSING, metadata=between(0, 0.5))
    blur: float = field(default=MISSING, metadata=between(0, 3))
    noise: float = field(default=MISSING, metadata=between(0, 0.2))
    device: str = field(default=MISSING, metadata=one_of("auto", "cpu", "cuda"))


@dataclass
class ModelSchema:
    """What every network's configuration has."""

    name: str = field(default=MISSING, metadata=NAME)
    image_size: int = field(default=MISSING, metadata=at_least(8))
    _target_: str = field(default=MISSING, metadata=text())


@dataclass
class OwnModelSchema(ModelSchema):
    """A user's own network; its constructor's keywords are added with a plus."""

    open_to_more: ClassVar[bool] = True


@dataclass
class Vgg19Schema(ModelSchema):
    """VGG-19."""

    image_size: int = field(default=MISSING, metadata=at_least(64))
    head: str = field(default=MISSING, metadata=one_of("gap", "paper", "attention", "pyramid"))
    contrast: str = field(default=MISSING, metadata=one_of("none", "local"))
    weights: str = field(default=MISSING, metadata=text())
    batch_norm: bool = MISSING
    dropout: float = field(default=MISSING, metadata=between(0, 1, below=True))


@dataclass
class SmallCnnSchema(ModelSchema):
    """The small plain network."""

    image_size: int = field(default=MISSING, metadata=at_least(64))
    width: int = field(default=MISSING, metadata=between(1, 512))
    dropout: float = field(default=MISSING, metadata=between(0, 0.9))


@dataclass
class Lin2018Schema(SmallCnnSchema):
    """Regions that stand out."""

    regions: int = field(default=MISSING, metadata=between(1, 64))
    crop: int = field(default=MISSING, metadata=CROP)


@dataclass
class Nguyen2021Schema(SmallCnnSchema):
    """Parts of the picture."""

    parts: int = field(default=MISSING, metadata=between(1, 8))
    place_size: int = field(default=MISSING, metadata=between(1, 512))


@dataclass
class FloorSchema(ModelSchema):
    """A floor: an SVM on a few numbers of a picture."""

    name: str = field(default=MISSING, metadata=one_of(*FLOORS))
    image_size: int = field(default=MISSING, metadata=FLOOR_SIDE)
    cost: float = field(default=MISSING, metadata=above_zero())
    gamma: Any = field(default=MISSING, metadata=GAMMA)


@dataclass
class FinetuneSchema:
    """What learns, and how fast."""

    strategy: str = field(
        default=MISSING, metadata=one_of("auto", "frozen", "probe", "gradual", "full")
    )
    head_lr: float = field(default=MISSING, metadata=above_zero())
    backbone_lr: float = field(default=MISSING, metadata=above_zero())
    open_every: int = field(default=MISSING, metadata=at_least(1))
    cached: bool = MISSING
    cached_batch_size: int = field(default=MISSING, metadata=at_least(1))
    class_weights: Any = field(default=MISSING, metadata=CLASS_WEIGHTS)
    l2: list[float] = field(default=MISSING, metadata=PENALTIES)
    sample_weights: str = field(default=MISSING, metadata=one_of("file", "group"))


@dataclass
class SchedulerSchema:
    """The learning rate over the epochs."""

    name: str = field(default=MISSING, metadata=one_of("cosine", "constant"))
    warmup_epochs: float = field(default=MISSING, metadata=at_least(0))
    final_fraction: float = field(default=MISSING, metadata=between(0, 1))


@dataclass
class TrainerSchema:
    """The device, and how long."""

    accelerator: str = field(default=MISSING, metadata=one_of("auto", "cpu", "gpu", "mps"))
    devices: Any = field(default=MISSING, metadata=DEVICES)
    precision: str = field(
        default=MISSING, metadata=one_of("auto", "32-true", "bf16-mixed", "16-mixed")
    )
    max_epochs: int = field(default=MISSING, metadata=at_least(1))
    gradient_clip_val: float | None = field(default=MISSING, metadata=above_zero())
    limit_train_batches: Any = field(default=MISSING, metadata=LIMIT)
    evaluate: Any = field(default=MISSING, metadata=EVALUATE)
    log_every_n_steps: int = field(default=MISSING, metadata=at_least(1))
    deterministic: Any = field(default=MISSING, metadata=DETERMINISTIC)
    compile: bool = MISSING
    channels_last: Any = field(default=MISSING, metadata=CHANNELS_LAST)


@dataclass
class EarlyStoppingSchema:
    """When to stop."""

    monitor: str = field(default=MISSING, metadata=one_of(*MONITORS))
    mode: str = field(default=MISSING, metadata=one_of("min", "max"))
    patience: int = field(default=MISSING, metadata=at_least(1))
    min_delta: float = field(default=MISSING, metadata=at_least(0))


@dataclass
class CheckpointSchema:
    """Which epoch is the best."""

    monitor: str = field(default=MISSING, metadata=one_of(*MONITORS))
    mode: str = field(default=MISSING, metadata=one_of("min", "max"))


@dataclass
class CallbacksSchema:
    """What happens beside the training."""

    early_stopping: EarlyStoppingSchema | None = field(default_factory=EarlyStoppingSchema)
    checkpoint: CheckpointSchema = field(default_factory=CheckpointSchema)
    progress_bar: bool = MISSING
    watch_test: bool = MISSING
    panel: int = field(default=8, metadata=at_least(0))


@dataclass
class LoggerSchema:
    """Where curves and figures go."""

    name: str = field(default=MISSING, metadata=one_of("tensorboard", "none"))


@dataclass
class DecideSchema:
    """How a probability becomes a verdict."""

    name: str = field(default=MISSING, metadata=one_of(*DECISIONS))
    threshold: float | None = field(default=MISSING, metadata=between(0, 1))
    # of every rule; a run of before these were there goes on with the values below
    calibration: str = field(default="temperature", metadata=one_of("temperature", "platt"))
    unit: str = field(default="file", metadata=one_of("file", "part"))
    aggregate: str = field(default="any", metadata=one_of("any", "mean"))
    prevalence: float = field(default=0.001, metadata=between(0, 1, above=True, below=True))
    cost_escape: float | None = field(default=None, metadata=above_zero())
    cost_overkill: float | None = field(default=None, metadata=above_zero())
    cost_review: float | None = field(default=None, metadata=at_least(0))
    # of single rules
    max_escape: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    max_overkill: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    best_effort: bool | None = None
    by: str | None = field(default=None, metadata=one_of("bounds", "costs", "conformal"))


@dataclass
class ReportSchema:
    """What a run's report shows beside figures."""

    heatmaps: str = field(default="errors", metadata=one_of("none", "errors", "sample"))
    most: int = field(default=24, metadata=at_least(4))
    max_escape: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    max_overkill: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))


@dataclass
class CacheSchema:
    """Where features and decoded pictures are kept, and how many."""

    dir: str | None = field(default=MISSING, metadata=text())
    max_gb: float = field(default=MISSING, metadata=above_zero())


@dataclass
class TrainSchema:
    """`train`."""

    data: DataSchema = field(default_factory=DataSchema)
    augment: AugmentSchema = field(default_factory=AugmentSchema)
    model: Any = MISSING
    finetune: FinetuneSchema = field(default_factory=FinetuneSchema)
    optimizer: Any = MISSING
    scheduler: SchedulerSchema = field(default_factory=SchedulerSchema)
    trainer: TrainerSchema = field(default_factory=TrainerSchema)
    callbacks: CallbacksSchema = field(default_factory=CallbacksSchema)
    logger: LoggerSchema = field(default_factory=LoggerSchema)
    decide: DecideSchema = field(default_factory=DecideSchema)
    report: ReportSchema = field(default_factory=ReportSchema)
    cache: CacheSchema = field(default_factory=CacheSchema)
    seed: int = field(default=MISSING, metadata=between(0, 2**32 - 1))
    resume: str | None = field(default=MISSING, metadata=text())
    jobs: int = field(default=MISSING, metadata=at_least(1))
    objective: str | None = field(default=MISSING, metadata=one_of("group_log_loss"))
    allow_targets: list[str] = MISSING


@dataclass
class PrepareDataSchema:
    """The part of `data` that matters when pictures are read for the first time."""

    window: Any = field(default=MISSING, metadata=WINDOW)
    manifest: str | None = field(default=None, metadata=text())
    normal: list[str] | None = None
    group_from: str | None = field(default=None, metadata=text())
    lot_from: str | None = field(default=None, metadata=text())


@dataclass
class PrepareSchema:
    """`prepare`."""

    source: str | None = field(default=MISSING, metadata=text())
    out: str = field(default=MISSING, metadata=text())
    recipe: str = field(
        default=MISSING, metadata=one_of("folder", "paper", "vendor", "all", "synthetic")
    )
    on_bad: str = field(default=MISSING, metadata=one_of("fail", "skip"))
    aliases: dict[str, str] = MISSING
    data: PrepareDataSchema = field(default_factory=PrepareDataSchema)
    synthetic: SyntheticSchema = field(default_factory=SyntheticSchema)


@dataclass
class MapSchema:
    """How maps of evidence are made."""

    layer: str = field(default=MISSING, metadata=text())
    weights: str = field(default=MISSING, metadata=one_of("auto", "excess", "mean", "picture"))
    smooth: float = field(default=MISSING, metadata=between(0, 0.25))
    turns: int = field(default=MISSING, metadata=TURNS)
    most: int = field(default=MISSING, metadata=at_least(4))


@dataclass
class EvaluateSchema:
    """`evaluate`."""

    predictions: str = field(default=MISSING, metadata=text())
    out: str = field(default=MISSING, metadata=text())
    labels: str | None = field(default=None, metadata=text())
    group_from: str | None = field(default=None, metadata=text())
    normal: list[str] | None = None
    aliases: dict[str, str] = field(default_factory=dict)
    stress: bool = False
    stress_limit: int | None = field(default=120, metadata=at_least(1))
    calibration: str | None = field(default=None, metadata=one_of("temperature", "platt"))
    unit: str | None = field(default=None, metadata=one_of("file", "part"))
    aggregate: str | None = field(default=None, metadata=one_of("any", "mean"))
    prevalence: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    cost_escape: float | None = field(default=None, metadata=above_zero())
    cost_overkill: float | None = field(default=None, metadata=above_zero())
    cost_review: float | None = field(default=None, metadata=at_least(0))
    max_escape: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    max_overkill: float | None = field(default=None, metadata=between(0, 1, above=True, below=True))
    run: str | None = field(default=None, metadata=text())
    heatmaps: str = field(default="none", metadata=one_of("none", "errors", "sample", "all"))
    map: MapSchema = field(default_factory=MapSchema)
    root: str | None = field(default=None, metadata=text())
    allow_targets: list[str] = field(default_factory=list)


@dataclass
class DemoSchema:
    """`demo`."""

    out: str = field(default=MISSING, metadata=text())
    weights: str = field(default=MISSING, metadata=text())


@dataclass
class StartDataSchema:
    """How a folder's own names are read."""

    manifest: str | None = field(default=MISSING, metadata=text())
    normal: list[str] | None = MISSING
    group_from: str | None = field(default=MISSING, metadata=text())
    lot_from: str | None = field(default=MISSING, metadata=text())


@dataclass
class StartModelSchema:
    """VGG-19's."""

    weights: str = field(default=MISSING, metadata=text())
    image_size: int | None = field(default=MISSING, metadata=at_least(64))


@dataclass
class StartDecideSchema:
    """What the line bears."""

    max_escape: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))
    max_overkill: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))


@dataclass
class StartCacheSchema:
    """Where features and decoded pictures are kept."""

    dir: str | None = field(default=MISSING, metadata=text())


@dataclass
class StartSchema:
    """`start`."""

    source: str = field(default=MISSING, metadata=text())
    out: str | None = field(default=MISSING, metadata=text())
    yes: bool = MISSING
    minutes: float = field(default=MISSING, metadata=above_zero())
    aliases: dict[str, str] = MISSING
    data: StartDataSchema = field(default_factory=StartDataSchema)
    model: StartModelSchema = field(default_factory=StartModelSchema)
    decide: StartDecideSchema = field(default_factory=StartDecideSchema)
    cache: StartCacheSchema = field(default_factory=StartCacheSchema)


@dataclass
class CompareSchema:
    """`compare`."""

    runs: Any = field(default=MISSING, metadata=RUNS)
    out: str = field(default=MISSING, metadata=text())
    reference: str | None = field(default=MISSING, metadata=text())


@dataclass
class AuditDataSchema:
    """The pictures of an audit."""

    root: str = field(default=MISSING, metadata=text())
    manifest: str | None = field(default=MISSING, metadata=text())
    aliases: dict[str, str] = MISSING
    normal: list[str] | None = None
    group_from: str | None = field(default=None, metadata=text())
    lot_from: str | None = field(default=None, metadata=text())


@dataclass
class AuditSchema:
    """`audit`."""

    data: AuditDataSchema = field(default_factory=AuditDataSchema)
    out: str = field(default=MISSING, metadata=text())
    fail_on: Any = field(default=MISSING, metadata=FAIL_ON)


@dataclass
class ParitySchema:
    """A further set on which a bundle must agree with its run."""

    manifest: str | None = field(default=MISSING, metadata=text())
    root: str | None = field(default=MISSING, metadata=text())
    limit: int | None = field(default=MISSING, metadata=at_least(1))


@dataclass
class ExportSchema:
    """`export`."""

    run: str = field(default=MISSING, metadata=text())
    out: str = field(default=MISSING, metadata=text())
    format: Any = field(default=MISSING, metadata=FORMATS)
    precision: str = field(default=MISSING, metadata=one_of("auto", "fp32", "fp16", "int8"))
    allow_fold: bool = MISSING
    max_verdict_changes: float | None = field(default=MISSING, metadata=between(0, 1, below=True))
    pictures: int = field(default=MISSING, metadata=at_least(1))
    parity: ParitySchema = field(default_factory=ParitySchema)
    root: str | None = field(default=MISSING, metadata=text())
    weights_licence: str | None = field(default=MISSING, metadata=text())
    allow_targets: list[str] = MISSING


@dataclass
class HeatmapsSchema:
    """Overlays of pictures that are judged."""

    to: str | None = field(default=MISSING, metadata=text())
    of: str = field(default=MISSING, metadata=one_of("rejected", "all"))


@dataclass
class SortSchema:
    """Folders by verdict."""

    to: str | None = field(default=MISSING, metadata=text())
    how: str = field(default=MISSING, metadata=one_of("copy", "link", "move"))


@dataclass
class DropSchema:
    """A drop folder."""

    done: str | None = field(default=MISSING, metadata=text())
    poll: float = field(default=MISSING, metadata=above_zero())
    settle: float = field(default=MISSING, metadata=at_least(0))
    patience: float = field(default=MISSING, metadata=at_least(0))
    events: bool = MISSING


@dataclass
class CameraSchema:
    """A camera."""

    interval: float = field(default=MISSING, metadata=at_least(0))


@dataclass
class JudgeSchema:
    """Who judges."""

    path: str = field(default=MISSING, metadata=text())


@dataclass
class PredictSchema:
    """`predict`."""

    model: JudgeSchema = field(default_factory=JudgeSchema)
    source: str = field(default=MISSING, metadata=text())
    out: str = field(default=MISSING, metadata=VERDICT_TABLE)
    resume: bool = MISSING
    root: str | None = field(default=MISSING, metadata=text())
    limit: int | None = field(default=MISSING, metadata=at_least(1))
    fail_on: str | None = field(default=MISSING, metadata=one_of("defective", "review"))
    heatmaps: HeatmapsSchema = field(default_factory=HeatmapsSchema)
    sort: SortSchema = field(default_factory=SortSchema)
    watch: bool = MISSING
    drop: DropSchema = field(default_factory=DropSchema)
    camera: CameraSchema = field(default_factory=CameraSchema)
    batch: int = field(default=MISSING, metadata=between(1, 256))
    decoders: int = field(default=MISSING, metadata=between(1, 64))
    threads: int | None = field(default=MISSING, metadata=at_least(1))
    max_pixels: int = field(default=MISSING, metadata=at_least(1))
    progress: bool = MISSING
    allow_targets: list[str] = MISSING


@dataclass
class ReproduceSchema:
    """`reproduce`."""

    run: str = field(default=MISSING, metadata=text())
    out: str = field(default=MISSING, metadata=text())
    root: str | None = field(default=MISSING, metadata=text())
    weights: str | None = field(default=MISSING, metadata=text())
    fresh: bool = MISSING
    tolerance: float = field(default=MISSING, metadata=between(0, 1, below=True))
    allow_targets: list[str] = MISSING


@dataclass
class PlanSchema:
    """`plan`."""

    max_escape: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))
    max_overkill: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))
    expected_escape: float | None = field(default=MISSING, metadata=between(0, 1, below=True))
    expected_overkill: float | None = field(default=MISSING, metadata=between(0, 1, below=True))
    confidence: float = field(default=MISSING, metadata=between(0.5, 1, above=True, below=True))
    power: float = field(default=MISSING, metadata=between(0, 1, above=True, below=True))
    out: str = field(default=MISSING, metadata=text())


@dataclass
class DoctorSchema:
    """`doctor`."""

    out: str | None = field(default=MISSING, metadata=text())
    runs_in: str = field(default=MISSING, metadata=text())
    cache: CacheSchema = field(default_factory=CacheSchema)


SCHEMAS: dict[str, type] = {
    "start": StartSchema,
    "prepare": PrepareSchema,
    "audit": AuditSchema,
    "train": TrainSchema,
    "evaluate": EvaluateSchema,
    "compare": CompareSchema,
    "export": ExportSchema,
    "predict": PredictSchema,
    "reproduce": ReproduceSchema,
    "plan": PlanSchema,
    "doctor": DoctorSchema,
    "demo": DemoSchema,
}


def register() -> None:
    """Put the schemas where the files in conf/ find them (``/schema/...@_here_``)."""
    store = ConfigStore.instance()
    for command, schema in SCHEMAS.items():
        store.store(name=f"{command}_schema", node=schema)
    groups = {
        "data": DataSchema,
        "augment": AugmentSchema,
        "finetune": FinetuneSchema,
        "scheduler": SchedulerSchema,
        "trainer": TrainerSchema,
        "callbacks": CallbacksSchema,
        "logger": LoggerSchema,
        "decide": DecideSchema,
    }
    for name, schema in groups.items():
        store.store(group="schema", name=name, node=schema)
    models = {
        "vgg19": Vgg19Schema,
        "lin2018": Lin2018Schema,
        "nguyen2021": Nguyen2021Schema,
        "cnn": SmallCnnSchema,
        "floor": FloorSchema,
        "custom": OwnModelSchema,
    }
    for name, schema in models.items():
        store.store(group="schema/model", name=name, node=schema)
