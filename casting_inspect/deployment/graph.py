"""The network as it ships: raw 8-bit pixels in, calibrated probability and evidence out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from casting_inspect.deployment.evidence import Evidence
from casting_inspect.deployment.quiet import quietly
from casting_inspect.deployment.runtimes import PIXELS, VERDICT
from casting_inspect.errors import UserError, first_line
from casting_inspect.evaluation.calibration import Calibration
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models.protocol import is_split

OUTPUTS: Final = (*VERDICT, "heatmap")
NETWORK: Final = "network."
"""What the names of the network's own weights start with in the graph."""
WEIGHED: Final = ("Conv", "Gemm", "MatMul")


class Shipped(nn.Module):
    """A trained network with all that stands before and behind it, resizing excepted.

    Args:
        network: In evaluation mode; from RGB (N, 3, S, S) in 0..1 to logits (N, 2).
        calibration: Turns its log-odds into those of equally frequent classes.
        shift: What is added for the line's share of defective parts.
        evidence: How to show where a defect is as well; None: not.
    """

    slope: Tensor
    offset: Tensor

    def __init__(
        self,
        network: nn.Module,
        calibration: Calibration,
        shift: float,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope", torch.tensor(calibration.slope, dtype=torch.float32))
        offset = calibration.intercept + shift
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32))
        self.evidence = evidence

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return verdicts' numbers for pictures.

        Args:
            pixels: RGB uint8 (N, S, S, 3).

        Returns:
            ``p_normal`` float32 (N,); ``log_odds`` float32 (N,), the same before the sigmoid, in
            which scores close to 1 can still be told apart; with ``evidence`` also a heatmap,
            float32 (N, h, w) from 0 to 1, the largest evidence in each picture being 1.
        """
        images = pixels.permute(0, 3, 1, 2).float() / 255
        found_at = None
        if self.evidence is None:
            logits = self.network(images)
        else:
            logits, found_at = self.evidence.look(self.network, images)
        log_odds = self.slope * (logits[:, NORMAL] - logits[:, DEFECTIVE]) + self.offset
        found = (torch.sigmoid(log_odds), log_odds)
        if found_at is None:
            return found
        evidence = found_at.clamp(min=0)
        largest = evidence.amax(dim=(1, 2), keepdim=True)
        # without evidence anywhere the map is zero, not the noise of a division
        return (*found, evidence / torch.where(largest > 0, largest, torch.ones_like(largest)))


def export_onnx(shipped: Shipped, side: int, path: Path) -> None:
    """Write a network as ONNX: any number of pictures, weights inside the file.

    Args:
        shipped: On the CPU, in evaluation mode.
        side: Pixels a side that it sees.
        path: The file.

    Raises:
        UserError: If the network does what ONNX has no word for.
    """
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    names = OUTPUTS if shipped.evidence is not None else VERDICT
    try:
        with torch.no_grad(), quietly("torch.onnx", "onnxscript", "onnx_ir"):
            program = torch.onnx.export(
                shipped,
                (example,),
                dynamo=True,
                input_names=[PIXELS],
                output_names=list(names),
                dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, torch._dynamo.exc.TorchDynamoException) as error:
        kind = type(shipped.network).__name__
        raise UserError(f"{kind} cannot be written as ONNX: {first_line(error)}") from error
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces: bulk, and paths of this machine
        node.doc_string = None
        if node.op_type in WEIGHED and len(node.inputs) > 1 and node.inputs[1] is not None:
            # so that a layer can be found again under the name that it has in the network
            name = str(node.inputs[1].name)
            if name.startswith(NETWORK) and name.endswith(".weight"):
                node.name = name.removeprefix(NETWORK).removesuffix(".weight")
    program.save(path, external_data=False)


def quantisable(network: nn.Module) -> list[str]:
    """Return the layers that may compute in 8 bits, by name, in the network's order.

    Convolutions, and of a network that is a backbone and a head the backbone's linear layers too:
    normalisation, head and map stay as they are. Quantised as a whole, a VGG-19 changed 43 % of its
    verdicts, its backbone alone less than 1 %.
    """
    head: set[nn.Module] = set()
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d,)
    if is_split(network):
        head = {layer for part in network.head_modules() for layer in part.modules()}
        kinds = (nn.Conv2d, nn.Linear)
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, kinds) and layer not in head
    ]
