"""WaveRNN sample by sample, with few operations a sample.

All that a sample's net does before its state changes is linear in the inputs and conditions, and what it does with a new state
is linear in that; so products are fused, and two are left for a sample of one layer::

    known     B L*3U+H    [ gates of all layers | hidden ]: conditions of a block at once, and the inputs of the sample
    state l   B U         after the gates of layer l
    given l   B 3U+...    state l times [ its own gates of the next sample | gates of the layers above | hidden ]
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.vocoders.sample_loop import SampleBlock, SampleLoop, Speaker


class Net(Speaker, Protocol):
    """What generation needs to know of a WaveRNN."""

    first: nn.Linear
    hidden: nn.Linear
    last: nn.Linear

    def each(self) -> list[nn.GRU]:
        """The recurrent layers, from the input on."""


class _Weights:
    """The weights, multiplied and transposed as the loop over samples needs them."""

    def __init__(self, net: Net) -> None:
        layers, inputs = [cast(list[Tensor], list(layer.parameters())) for layer in net.each()], net.shift.inputs
        units, entry = net.first.out_features, net.first.weight
        below = torch.cat([*(layer[0] for layer in layers), net.hidden.weight[:, :units]])  # L*3U+H U
        self.inputs = (below @ entry[:, :inputs]).T.contiguous()
        conditions = below @ entry[:, inputs:]
        conditions[len(layers) * 3 * units :] += net.hidden.weight[:, units:]
        self.conditions = conditions.T.contiguous()
        self.bias = below @ net.first.bias + torch.cat([*(layer[2] for layer in layers), net.hidden.bias])
        onward = [torch.cat([layer[1], below[(i + 1) * 3 * units :]]) for i, layer in enumerate(layers)]
        self.given = [weight.T.contiguous() for weight in onward]  # U 3U+...
        self.given_bias = [torch.cat([layer[3], layer[3].new_zeros(len(w) - 3 * units)]) for layer, w in zip(layers, onward, strict=True)]
        self.last, self.last_bias = net.last.weight.T.contiguous(), net.last.bias
        self.units = units


class Generation(SampleLoop):
    """Rows that are being spoken by a WaveRNN, in the precision of its weights."""

    def __init__(self, net: Net, rows: int, noise: Noise | None, execution: Execution) -> None:
        like = net.first.weight
        self.weights = _Weights(net)
        super().__init__(net, rows, noise, execution, like, self.weights.units)
        self.states = [like.new_zeros(rows, self.weights.units) for _ in self.weights.given]
        self.given = [bias.repeat(rows, 1) for bias in self.weights.given_bias]

    def keep_rows(self, kept: Tensor) -> None:
        self.states = [state[kept] for state in self.states]
        self.given = [given[kept] for given in self.given]

    def new_block(self) -> SampleBlock:
        return _Block(self)


class _Layer:
    """The places of a layer's step."""

    def __init__(self, known: Tensor, number: int, state: Tensor, given: Tensor) -> None:
        units = state.shape[1]
        mine = known[:, 3 * units * number :]
        self.state, self.given = state, given
        self.gates, self.candidate = mine[:, : 2 * units], mine[:, 2 * units : 3 * units]
        self.given_gates, self.given_candidate = given[:, : 2 * units], given[:, 2 * units : 3 * units]
        self.above, self.given_above = mine[:, 3 * units :], given[:, 3 * units :]
        self.reset, self.update = self.gates.chunk(2, 1)

    def step(self) -> None:
        """The gates, then the state, of Cho et al. (2014) as cuDNN has them: the reset gate acts after the product."""
        self.gates.add_(self.given_gates).sigmoid_()
        self.candidate.addcmul_(self.reset, self.given_candidate).tanh_()
        torch.lerp(self.candidate, self.state, self.update, out=self.state)


class _Block(SampleBlock):
    def __init__(self, state: Generation) -> None:
        self.weights = weights = state.weights
        super().__init__(state, [*state.states, *state.given], len(weights.bias), weights.bias.dtype)
        self.known = self.conditions.new_empty(self.conditions.shape[1:])
        self.layers = [_Layer(self.known, i, *both) for i, both in enumerate(zip(state.states, state.given, strict=True))]
        self.hidden = self.layers[-1].above

    def take(self, conditions: Tensor) -> None:
        torch.add(conditions @ self.weights.conditions, self.weights.bias, out=self.conditions)

    def outputs_of(self, n: int, inputs: Tensor) -> Tensor:
        w = self.weights
        torch.addmm(self.conditions[n], inputs.T, w.inputs, out=self.known)
        for layer, weight, bias in zip(self.layers, w.given, w.given_bias, strict=True):
            layer.step()
            torch.addmm(bias, layer.state, weight, out=layer.given)
            layer.above.add_(layer.given_above)
        return torch.addmm(w.last_bias, self.hidden.relu_(), w.last, out=self.outputs[n])
