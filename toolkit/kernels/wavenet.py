"""WaveNet sample by sample in C++. Plain twin: ``toolkit.vocoders.wavenet_generation.Generation``, whose interface this has.

Here, in torch: the network over frames, learned upsampling, shift and gain, and the draws, for a block of samples of all rows.
In ``source/wavenet.cpp``: everything else; its first comment draws the layout. A block of N samples crosses as

    condition  B N C, or B N/hop+1 C at frame rate   ->   wave     B N
    coefficients B N O, gain B N                          mixture  B N 3K, where asked for
    gumbel B N K, logistic B N, or forced B N
"""

from __future__ import annotations

import ctypes
import logging
from ctypes import POINTER, c_float, c_int32, c_int64, c_void_p
from typing import Any, Protocol

import torch
from torch import Tensor

from toolkit.errors import ToolkitError
from toolkit.kernels.native import Library, library, why_not
from toolkit.nn.execution import PRECISIONS, Execution
from toolkit.nn.gated_stack import GatedStack
from toolkit.nn.lp_shift import PredictionShift, Shift, TargetScale
from toolkit.nn.noise import Noise
from toolkit.nn.sample_heads import Gaussian, Logistics, SampleHead
from toolkit.nn.upsampling import LinearUpsampling, Upsampling, hold_edges

logger = logging.getLogger(__name__)

WIDTH_STEP = 32  # channels come in multiples of this
BLOCK_FRAMES = 4  # of conditions that are held at once
EXACT = Execution()


class Net(Protocol):
    """What the kernel needs to know of a WaveNet."""

    stack: GatedStack
    shift: PredictionShift | TargetScale
    upsampling: Upsampling
    hop: int
    before: int
    lookahead: int
    head: SampleHead
    input_scale: float
    pre_emphasis: float
    temperature: float

    def frame_conditions(self, frames: Tensor) -> tuple[Tensor, Shift]:
        """Frames with their neighbours -> conditions before upsampling ``B before+T+after C``, and the shift of ``T hop`` samples."""


class _Shape(ctypes.Structure):
    _fields_ = [
        *((name, c_int32) for name in ("layers", "kernel", "residual", "gate", "skip", "inputs", "condition", "mixtures", "order")),
        ("precision", c_int32),
        *((name, c_float) for name in ("input_scale", "pre_emphasis", "log_scale_min")),
        ("dilations", POINTER(c_int32)),
    ]


class _Weights(ctypes.Structure):
    _fields_ = [
        (name, c_void_p)
        for name in ("first", "first_bias", "gates", "gates_bias", "residuals", "skips", "skips_bias")
        + ("hidden", "hidden_bias", "last", "last_bias")
    ]


class _Block(ctypes.Structure):
    _fields_ = [
        ("samples", c_int64),
        ("hop", c_int32),
        *((name, c_void_p) for name in ("condition", "coefficients", "gain", "gumbel", "logistic", "forced", "wave", "mixture")),
    ]


def supports(net: Net, execution: Execution = EXACT) -> str | None:
    """None where the kernel can speak this net here, else the reason in a line."""
    weight = net.stack.first.weight
    gate, skip, residual = net.stack.each()[0].skip.in_features, net.stack.hidden.in_features, net.stack.first.out_features
    if not isinstance(net.head, (Logistics, Gaussian)):
        return f"the native kernel draws from Logistics and Gaussian, not from {type(net.head).__name__}"
    if not execution.native:
        return "native kernels are switched off"
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return f"the native kernel runs float32 on a CPU, not {str(weight.dtype).removeprefix('torch.')} on {weight.device.type}"
    for name, width in (("residual", residual), ("gate", gate), ("skip", skip)):
        if width % WIDTH_STEP:
            return f"the native kernel needs {name} in multiples of {WIDTH_STEP}, not {width}"
    return None if library() is not None else why_not()


class PackedNet:
    """The weights of a net as the kernel wants them. They are a copy: a net that is trained further needs a new one.

    Args:
        net: float32 on a CPU.
        precision: fp32 | bf16 | int8, of the products in the layers. With int8, conditions and ``hidden`` are bf16; ``last`` is fp32.
        native: the library; None takes the best there is.

    Raises:
        ToolkitError: there is no library, or no memory.
    """

    def __init__(self, net: Net, precision: str = "fp32", native: Library | None = None) -> None:
        found = native or library()
        if found is None:
            raise ToolkitError(f"wavenet kernel: {why_not()}")
        self.target, self.inputs = found.target, net.shift.inputs
        self.functions = _declared(found.cdll)
        stack, layers = net.stack, net.stack.each()
        with torch.no_grad():
            tensors = {
                "first": stack.first.weight,
                "first_bias": stack.first.bias,
                "gates": torch.stack([layer.gates.weight for layer in layers]),
                "gates_bias": torch.stack([layer.gates.bias for layer in layers]),
                "residuals": torch.stack([layer.residual.weight for layer in layers if layer.residual is not None] or [stack.first.weight]),
                "skips": torch.stack([layer.skip.weight for layer in layers]) * stack.skip_scale,
                "skips_bias": torch.stack([layer.skip.bias for layer in layers]).sum(0) * stack.skip_scale,
                "hidden": stack.hidden.weight,
                "hidden_bias": stack.hidden.bias,
                "last": _mixture(net.head, stack.last.weight),
                "last_bias": _mixture(net.head, stack.last.bias),
            }
            held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        shape = _shape(net, precision)
        weights = _Weights(**{name: tensor.data_ptr() for name, tensor in held.items()})
        self.handle = self.functions.wavenet_net_new(ctypes.byref(shape), ctypes.byref(weights))
        if not self.handle:
            raise ToolkitError("wavenet kernel: not enough memory for the weights")

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            self.functions.wavenet_net_free(self.handle)


class NativeGeneration:
    """Rows that are being spoken, as ``Generation``.

    Attributes:
        rows: numbers of the rows that still speak.
    """

    def __init__(self, net: Net, rows: int, noise: Noise | None, packed: PackedNet, threads: int = 1) -> None:
        self.net, self.noise, self.total, self.packed, self.threads = net, noise, rows, packed, threads
        self.rows = torch.arange(rows)
        self.position = 0
        self.state = packed.functions.wavenet_state_new(packed.handle, rows)
        if not self.state:
            raise ToolkitError(f"wavenet kernel: not enough memory for {rows} rows")

    def __del__(self) -> None:
        if getattr(self, "state", None):
            self.packed.functions.wavenet_state_free(self.state)

    def keep(self, speaking: Tensor) -> None:
        """Drop the rows that are not in ``speaking``, bool over all rows of the start."""
        kept = speaking[self.rows]
        if not bool(kept.all()):
            numbers = kept.nonzero()[:, 0].tolist()
            self.packed.functions.wavenet_state_keep(self.state, (c_int32 * len(numbers))(*numbers), len(numbers))
            self.rows = self.rows[kept]

    def speak(self, frames: Tensor) -> Tensor:
        """``B before+T+lookahead F`` -> the next ``T hop`` samples of the rows, ``B T*hop``."""
        return self._run(frames, None, False)[0]

    def mixtures(self, frames: Tensor, wave: Tensor) -> Tensor:
        """The same frames with the true wave ``B T*hop`` -> what the head says of each sample given those before it, ``B T*hop P``."""
        return self._run(frames, wave, True)[1]

    def _run(self, frames: Tensor, forced: Tensor | None, want_mixture: bool) -> tuple[Tensor, Tensor]:
        net, rows = self.net, len(self.rows)
        hidden, shift = net.frame_conditions(frames)
        at_frames = isinstance(net.upsampling, LinearUpsampling)
        condition = hidden if at_frames else net.upsampling(hidden)
        samples = shift.gain.shape[1]
        tensors: dict[str, Tensor] = {"condition": condition, "gain": shift.gain, "coefficients": shift.coefficients}
        if forced is not None:
            tensors["forced"] = forced
        elif self.noise is not None:
            uniforms = self.noise.uniform("sample", self.position, samples, self.total, sum(net.head.draws))[self.rows].float()
            *choice, draw = (drawn * net.temperature for drawn in net.head.noise(uniforms))
            tensors["gumbel"], tensors["logistic"] = choice[0] if choice else torch.zeros_like(draw), draw
        held = {name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}
        held["wave"] = torch.empty(rows, samples)
        held["mixture"] = torch.empty(rows, samples if want_mixture else 0, 3 * _components(net.head))
        pointers = {name: tensor.data_ptr() for name, tensor in held.items() if tensor.numel()}
        block = _Block(samples=samples, hop=net.hop if at_frames else 0, **pointers)
        if self.packed.functions.wavenet_run(self.state, ctypes.byref(block), self.threads) != 0:
            raise ToolkitError("wavenet kernel: not enough memory for a block")
        self.position += samples
        return held["wave"], held["mixture"][..., -net.head.outputs :]


def generation(net: Net, rows: int, noise: Noise | None, execution: Execution) -> NativeGeneration | None:
    """The start of a generation by the kernel, or None: then the torch path is to be taken, which knows fp32 and bf16."""
    reason = supports(net, execution)
    if reason is None:
        return NativeGeneration(net, rows, noise, PackedNet(net, execution.precision), execution.workers)
    if execution.precision not in ("fp32", "bf16"):
        logger.warning("wavenet: speaks in fp32 by torch, not in %s: %s", execution.precision, reason)
    return None


@torch.inference_mode()
def forced(net: Net, condition: Tensor, wave: Tensor, lengths: Tensor, packed: PackedNet, threads: int = 1) -> Tensor:
    """What ``WaveNet.predict`` gives, by the kernel: it measures what a precision costs.

    Args:
        condition: ``B T F``.
        wave: ``B T*hop``.
        lengths: frames ``B``.
        packed: holds the precision.

    Returns:
        What the head says, ``B T*hop P``.
    """
    rows, frames = condition.shape[:2]
    held = hold_edges(condition, torch.zeros_like(lengths), lengths, net.before, net.lookahead)
    generation = NativeGeneration(net, rows, None, packed, threads)
    mixtures = []
    for start in range(0, frames, BLOCK_FRAMES):
        end = min(start + BLOCK_FRAMES, frames)
        part = wave[:, start * net.hop : end * net.hop]
        mixtures.append(generation.mixtures(held[:, start : net.before + end + net.lookahead], part))
    return torch.cat(mixtures, 1)


def _components(head: SampleHead) -> int:
    """K of the mixture that the kernel sees. A Gaussian is a mixture of one, whose draws are not logistic."""
    return head.mixtures if isinstance(head, Logistics) else 1


def _mixture(head: SampleHead, rows: Tensor) -> Tensor:
    """Weight or bias of the layer that gives a mixture, ``3K ...``: for a Gaussian with a row for the logit of its only component."""
    return rows if isinstance(head, Logistics) else torch.cat([torch.zeros_like(rows[:1]), rows])


def _shape(net: Net, precision: str) -> _Shape:
    layers, head = net.stack.each(), net.head
    assert isinstance(head, (Logistics, Gaussian))
    return _Shape(
        layers=len(layers),
        kernel=layers[0].kernel_size,
        residual=net.stack.first.out_features,
        gate=layers[0].skip.in_features,
        skip=net.stack.hidden.in_features,
        inputs=net.shift.inputs,
        condition=net.upsampling.channels,
        mixtures=_components(head),
        order=net.shift.order,
        precision=PRECISIONS.index(precision),
        input_scale=net.input_scale,
        pre_emphasis=net.pre_emphasis,
        log_scale_min=head.log_scale_min,
        dilations=(c_int32 * len(layers))(*(layer.dilation for layer in layers)),
    )


def _declared(cdll: ctypes.CDLL) -> Any:
    """The functions of a library with their types."""
    cdll.wavenet_net_new.restype = cdll.wavenet_state_new.restype = c_void_p
    cdll.wavenet_net_new.argtypes = [c_void_p, c_void_p]
    cdll.wavenet_state_new.argtypes = [c_void_p, c_int32]
    cdll.wavenet_net_free.argtypes = cdll.wavenet_state_free.argtypes = [c_void_p]
    cdll.wavenet_net_free.restype = cdll.wavenet_state_free.restype = cdll.wavenet_state_keep.restype = None
    cdll.wavenet_state_keep.argtypes = [c_void_p, POINTER(c_int32), c_int32]
    cdll.wavenet_run.argtypes, cdll.wavenet_run.restype = [c_void_p, c_void_p, c_int32], c_int32
    return cdll
