"""What a plant runs: bundles made of runs, scorers of pictures, folders and cameras inspected."""

from casting_inspect.deployment.scorer import Scorer
from casting_inspect.deployment.verdict import Limits, Picture, PictureScorer, Verdict

__all__ = ["Limits", "Picture", "PictureScorer", "Scorer", "Verdict"]
