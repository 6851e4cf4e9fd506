"""The melody of speech: log F0 and voicing of each frame from its linguistic context and the frames before it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.nn.gated_layer import RESIDUAL_SCALE, GatedLayer
from toolkit.nn.gated_stack import GatedStack, dilation_cycles

KERNEL = 2


class F0Model(nn.Module):
    """A causal dilated network over past log F0 and voicing, conditioned on contexts, at the rate of frames.

    WaveNet, appendix B, takes log F0 from an autoregressive convolutional network trained with squared errors; its sizes are not
    published. Here the same network also says how likely a frame is voiced.

    Args:
        condition: width of the contexts of a frame.
        layers, cycles: dilations 2^(k mod layers/cycles) of kernels of 2 frames.
        channels: of every layer.
        lag: frames between a frame and the latest melody that it knows. A lag of 1 teaches little more than to repeat the frame
            before, and what is then made from its own past drifts away from the text.
    """

    def __init__(self, condition: int, layers: int, cycles: int, channels: int, lag: int) -> None:
        super().__init__()
        self.lag = lag
        widths = (channels, channels, channels)
        self.stack = GatedStack(2, condition, 2, dilation_cycles(layers, cycles), KERNEL, *widths, dropout=0.0)

    def forward(self, condition: Tensor, melody: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts ``B T C`` and true log F0 and voicing ``B T 2`` -> log F0 ``B T``, logits of voicing ``B T``, each from its past."""
        reach, frames = self.stack.reach, melody.shape[1]
        past = F.pad(melody, (0, 0, self.lag, 0))[:, :frames]
        exists = torch.arange(-reach, frames, device=past.device)[None] >= 0
        made = self.stack(F.pad(past, (0, 0, reach, 0)), F.pad(condition, (0, 0, reach, 0)), exists)
        return made[..., 0], made[..., 1]

    @torch.no_grad()
    def generate(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts ``B T C`` -> log F0, and 1 where voiced, each ``B T``, frame by frame. The means are fed back, no draws."""
        stack, (rows, frames, _) = self.stack, condition.shape
        layers = [_Running(layer, condition, stack.reach) for layer in stack.each()]
        made = condition.new_zeros(rows, self.lag + frames, 2)  # before the first frame it is 0
        for t in range(frames):
            x, skips = stack.first(made[:, t]), condition.new_zeros(())
            for layer in layers:
                skip, x = layer(x, t)
                skips = skips + skip
            out = stack.last(F.relu(stack.hidden(F.relu(skips * stack.skip_scale))))
            made[:, self.lag + t] = torch.stack([out[:, 0], (out[:, 1] > 0).to(out.dtype)], 1)
        return made[:, self.lag :, 0], made[:, self.lag :, 1]


class _Running:
    """One layer of the stack a frame at a time. It holds its inputs of all frames, and its product with their contexts."""

    def __init__(self, layer: GatedLayer, condition: Tensor, before: int) -> None:
        taps = layer.kernel_size * layer.gates.out_features // 2
        self.layer, self.before = layer, before
        self.weight = layer.gates.weight[:, :taps]
        self.conditions = F.linear(condition, layer.gates.weight[:, taps:], layer.gates.bias)  # B T 2G
        self.inputs = condition.new_zeros(condition.shape[0], before + condition.shape[1], taps // layer.kernel_size)

    def __call__(self, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Input ``B R`` of frame t -> skip ``B S`` and what enters the next layer ``B R``."""
        layer, place = self.layer, self.before + t
        self.inputs[:, place] = x
        taps = self.inputs[:, place - layer.reach : place + 1 : layer.dilation].flatten(1)  # oldest first
        filtered, gate = (F.linear(taps, self.weight) + self.conditions[:, t]).chunk(2, 1)
        z = torch.tanh(filtered) * torch.sigmoid(gate)
        skip = cast(Tensor, layer.skip(z))
        return skip, x if layer.residual is None else (x + layer.residual(z)) * RESIDUAL_SCALE
