"""WaveRNN: a recurrent network over samples, on the conditions, heads and targets that WaveNet has here too."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.vocoders.autoregressive import AutoregressiveVocoder, Speaking
from toolkit.vocoders.base import VOCODERS
from toolkit.vocoders.wavernn_generation import Generation


@VOCODERS.register("wavernn")
class WaveRNN(AutoregressiveVocoder):
    """Gated recurrent layers and a fully connected head, sample by sample (Kalchbrenner et al. 2018, section 2).

    ::

        inputs, conditions -> linear e -> GRU 1 -> e + h1 -> GRU 2 -> e + h1 + h2, conditions -> ReLU -> linear -> the sample's head

    Conditions at the input and the head and sums around the layers are those of its widely used open form, as are the default
    widths; the source has one layer of 896 units. Here a sample is one distribution over 16 bits, not two of 8.

    It remembers without an end, so a training crop cannot hold all that its samples depend on. The state is zero ``warm_up``
    frames before what is scored, or where the utterance starts, and no gradient goes into the warm-up.

    Args:
        units, layers: of the recurrent layers. A sample costs about (6 layers - 3) x units^2 multiplications.
        hidden: width of the head.
        warm_up: frames before a crop, and of the overlap where an utterance is spoken in segments.
        head: what is said of a sample: ``mol``, a mixture of logistics; ``gaussian``, one Gaussian; ``mulaw``, 256 classes of a wave
            that is modelled as it is.
        mixtures: logistics.
        condition: channels of the upsampled conditions. condition_layers: convolutions over 3 frames before upsampling.
        upsample: ``transposed`` (learned), ``linear``, or ``smoothed``: repeated and filtered, as in Parallel WaveGAN.
        scales: of the transposed and the smoothed kind, their product is the hop.
        aux_context: frames on both sides that the smoothed kind's first convolution sees.
        target_scale: factor on the target. log_scale_min: least log-scale, for a wave in [-1, 1] that is not scaled.
        pre_emphasis: the net sees and models x_t - pre_emphasis x_(t-1).
        lp_shift: model the error of a linear predictor of ``lp_order`` from the mel, in units of its gain, as in LPCNet.
        input_scale: factor on the wave where it enters the net.
        temperature: of sampling.
    """

    def __init__(
        self,
        condition_dim: int,
        hop: int,
        features: MelSettings,
        *,
        units: int = 512,
        layers: int = 2,
        hidden: int = 512,
        warm_up: int = 4,
        head: str = "mol",
        mixtures: int = 10,
        condition: int = 128,
        condition_layers: int = 2,
        upsample: str = "transposed",
        scales: list[int] | None = None,
        aux_context: int = 2,
        target_scale: float = 1.0,
        log_scale_min: float = -16.0,
        pre_emphasis: float = 0.0,
        lp_shift: bool = False,
        lp_order: int = 16,
        input_scale: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        for name, value in {"units": units, "layers": layers, "hidden": hidden, "warm_up": warm_up}.items():
            if value < 1:
                raise ConfigError(f"{name}: must be at least 1, got {value}")
        super().__init__(
            condition_dim, hop, features, head=head, mixtures=mixtures, condition=condition, condition_layers=condition_layers,
            upsample=upsample, scales=scales, target_scale=target_scale, log_scale_min=log_scale_min, pre_emphasis=pre_emphasis,
            lp_shift=lp_shift, lp_order=lp_order, input_scale=input_scale, temperature=temperature, aux_context=aux_context,
        )  # fmt: skip
        self.first = nn.Linear(self.shift.inputs + self.upsampling.channels, units)
        self.layers = nn.ModuleList(nn.GRU(units, units, batch_first=True) for _ in range(layers))
        self.hidden = nn.Linear(units + self.upsampling.channels, hidden)
        self.last = nn.Linear(hidden, self.head.outputs)
        self.head.start(self.last)
        self.remember(warm_up * hop)

    def each(self) -> list[nn.GRU]:
        """The recurrent layers, from the input on."""
        return cast(list[nn.GRU], list(self.layers))

    def losses(self, batch: WaveBatch, turn: str) -> dict[str, Tensor]:
        """``nll``: nats of the scored samples over the samples of the global batch."""
        conditions, shift = self.conditions(batch.condition)
        inputs, target = self._signals(batch.wave[:, self.before * self.hop :], shift)
        joined, states = torch.cat([inputs, conditions], 2), self._silence(inputs)
        scored = slice((batch.context - self.before) * self.hop, None)
        with torch.no_grad():
            for frame, part in enumerate(torch.split(joined[:, : scored.start], self.hop, 1), self.before):
                _, states = self._recur(part, self._begun(states, batch.first + frame))
        states = self._begun(states, batch.first + batch.context)
        outputs = self._outputs(joined[:, scored], conditions[:, scored], states)
        return self.crop_loss(outputs, target[:, scored], shift.gain[:, scored], batch)

    def predict(self, condition: Tensor, wave: Tensor, lengths: Tensor) -> Tensor:
        conditions, shift = self.conditions(self._held(condition, lengths))
        inputs, _ = self._signals(wave, shift)
        return self._outputs(torch.cat([inputs, conditions], 2), conditions, self._silence(inputs))

    def speaking(self, rows: int, noise: Noise | None) -> Speaking:
        return Generation(self, rows, noise, self.execution)

    def _silence(self, like: Tensor) -> list[Tensor]:
        """States before the first sample, each ``1 B U``."""
        return [like.new_zeros(1, len(like), self.first.out_features) for _ in self.layers]

    def _begun(self, states: list[Tensor], frame: Tensor) -> list[Tensor]:
        """States at the start of frame ``B``: zero where the utterance has not begun."""
        return [state * (frame > 0)[:, None] for state in states]

    def _recur(self, joined: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Inputs and conditions ``B N I+C``, states -> what enters the head ``B N U``, states after it."""
        x, after = self.first(joined), list[Tensor]()
        for layer, state in zip(self.each(), states, strict=True):
            made, state = layer(x, state)
            x = x + made
            after.append(state)
        return x, after

    def _outputs(self, joined: Tensor, conditions: Tensor, states: list[Tensor]) -> Tensor:
        """As ``_recur``, and on to what the head says, ``B N P``."""
        x, _ = self._recur(joined, states)
        outputs: Tensor = self.last(F.relu(self.hidden(torch.cat([x, conditions], 2))))
        return outputs
