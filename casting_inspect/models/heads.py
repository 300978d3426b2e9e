"""Heads on a grid or a vector of VGG-19 features: pooled, and with a learned attention map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from casting_inspect.labels import DEFECTIVE, NORMAL

CLASSES = 2
INITIAL_STD = 0.01  # torchvision's own for VGG's linear layers: starts close to p_normal = 0.5


def initialise_linear(layer: nn.Linear) -> None:
    """Draw small normal weights (standard deviation 0.01) and a zero bias, as torchvision's VGG."""
    nn.init.normal_(layer.weight, 0.0, INITIAL_STD)
    nn.init.zeros_(layer.bias)


class PooledHead(nn.Module):
    """Dropout and one linear layer on the standardised mean over all places of the feature grid.

    VGG's pooled features differ between pictures by a few hundredths only, around means that are
    several times larger, and a linear layer on them as they are learns for hundreds of epochs.
    Batch normalisation without learned scale before it is the usual remedy for linear layers on
    frozen features (He et al. 2022, "Masked autoencoders are scalable vision learners", A.1).

    Args:
        channels: Length C of a feature vector.
        dropout: Share of the C values that are dropped while training, 0 to below 1.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, CLASSES)
        initialise_linear(self.linear)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map pooled features (N, C) to logits (N, 2)."""
        if self.training and len(pooled) == 1:
            # one picture has no deviation: an epoch's last batch takes what is known so far
            batch = self.standardise
            standard = nn.functional.batch_norm(
                pooled, batch.running_mean, batch.running_var, eps=batch.eps
            )
        else:
            standard = self.standardise(pooled)
        logits: Tensor = self.linear(self.dropout(standard))
        return logits

    def evidence(self) -> tuple[Tensor, Tensor]:
        """Return weights (C,) and offset () that give the log-odds of defective, float32.

        In evaluation mode ``logit_defective - logit_normal`` is the pooled features times the
        weights, plus the offset.
        """
        batch = self.standardise
        assert batch.running_mean is not None
        assert batch.running_var is not None
        direction = self.linear.weight[DEFECTIVE] - self.linear.weight[NORMAL]
        weights = direction / (batch.running_var + batch.eps).sqrt()
        bias = self.linear.bias[DEFECTIVE] - self.linear.bias[NORMAL]
        return weights, bias - weights @ batch.running_mean


class AttentionHead(nn.Module):
    """Gated attention over the places of the feature grid, then dropout and one linear layer.

    The paper says that its model can "train the attention maps of the castings" but gives no
    mechanism. Ours is gated attention pooling (Ilse, Tomczak and Welling 2018, "Attention-based
    deep multiple instance learning", eq. 9): with h_k the layer-normalised features of place k,
    a_k = softmax_k(w^T (tanh(V h_k) * sigmoid(U h_k))), and the pooled vector is sum_k a_k f_k of
    the features f_k themselves. w starts at zero, so the untrained head pools evenly, as
    :class:`PooledHead` does, and learns from there where to look.

    Args:
        channels: Length C of a feature vector.
        dropout: Share of the C pooled values that are dropped while training, 0 to below 1.
        hidden: Length of the attention's inner vectors V h and U h.
    """

    def __init__(self, channels: int, dropout: float, hidden: int = 128) -> None:
        super().__init__()
        self.normalise = nn.LayerNorm(channels)
        self.content = nn.Linear(channels, hidden)
        self.gate = nn.Linear(channels, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)  # a bias would cancel in the softmax
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, CLASSES)
        for layer in (self.content, self.gate):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.score.weight)
        initialise_linear(self.linear)

    def attention(self, grid: Tensor) -> Tensor:
        """Return the weight of every place, (N, 1, h, w), positive and of sum 1 in each picture.

        Args:
            grid: Features (N, C, h, w).
        """
        places = self.normalise(grid.flatten(2).transpose(1, 2))
        gated = torch.tanh(self.content(places)) * torch.sigmoid(self.gate(places))
        weights = torch.softmax(self.score(gated).squeeze(-1), dim=1)
        return weights.reshape(grid.shape[0], 1, *grid.shape[2:])

    def with_map(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Map a grid (N, C, h, w) to logits (N, 2) and the attention map (N, 1, h, w)."""
        attention = self.attention(grid)
        pooled = (grid * attention).sum(dim=(2, 3))
        return self.linear(self.dropout(pooled)), attention

    def forward(self, grid: Tensor) -> Tensor:
        """Map a grid (N, C, h, w) to logits (N, 2)."""
        return self.with_map(grid)[0]
