"""The autoregressive step of a Tacotron 2 decoder, natively: for one utterance or many, in fp32, bf16 or int8.

Plain twin: ``Tacotron2Decoder.step``. ``source/decoder.cpp`` computes prenet, both LSTMs, attention and projections, many steps a
call, and draws how they hang together; ``source/products.hpp`` draws how weights lie in memory. What is computed here, in torch:
nothing but the folding of location filters and their projection, which the attention has done already. Random draws come as tensors.

::

    StepWeights --pack--> Packed (shared) --start--> Generation (state of the rows) --run--> Steps, Steps, ...
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.kernels.lstm_run import Weights
from toolkit.kernels.native import Library
from toolkit.nn.additive_attention import AdditivePieces
from toolkit.nn.execution import PRECISIONS

MOST_PRENET_LAYERS = 8
ATTEND = ("before_first", "between", "after_second")
NEVER = float("inf")


class Affine(NamedTuple):
    """Weight ``N K`` and bias ``N``."""

    weight: Tensor
    bias: Tensor


class StepWeights(NamedTuple):
    """The weights of a decoder and how it is wired."""

    prenet: tuple[Affine, ...]  # ReLU after each
    first: Weights  # reads [prenet; context of the step before, or of this one where attention stands before it]
    second: Weights  # reads [h1; context] or h1
    frames: Affine  # rM H+D, reads [h2; context]
    stop: Affine  # 1 H+D
    mels: int
    zoneout: float  # as an expectation
    attend: str  # before_first: asked by the last h1; between: by h1; after_second: by h2
    second_reads_context: bool


class Steps(NamedTuple):
    """What some steps made, with a place for every row the generation began with; zero where a row has ended."""

    frames: Tensor  # T/r B r M
    stop_logits: Tensor  # T/r B
    weights: Tensor  # T/r B S


class _Shape(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("precision", "mels", "reduction", "memory", "units", "dim", "channels", "kernel")),
        *((name, ctypes.c_int32) for name in ("attend", "second_reads_context", "prenet_layers")),
        ("prenet_widths", ctypes.c_int32 * MOST_PRENET_LAYERS),
        ("zoneout", ctypes.c_float),
    ]


_WEIGHTS = (
    "first_inputs", "first_hidden", "first_bias", "second_inputs", "second_hidden", "second_bias",
    "query", "location", "energy", "frames", "frames_bias", "stop", "stop_bias",
)  # fmt: skip


class _Weights(ctypes.Structure):
    _fields_ = [
        ("prenet", ctypes.c_void_p * MOST_PRENET_LAYERS),
        ("prenet_bias", ctypes.c_void_p * MOST_PRENET_LAYERS),
        *((name, ctypes.c_void_p) for name in _WEIGHTS),
    ]


class Packed:
    """A decoder's weights in the kernel's form. Any number of generations, in any threads, may use it at once.

    Args:
        net, pieces: fp32 on the CPU; of the pieces only what does not depend on the text is read.
        precision: fp32 | bf16 | int8, of all products with the decoder's weights. State, attention and gates are fp32.
    """

    def __init__(self, library: Library, net: StepWeights, pieces: AdditivePieces, precision: str) -> None:
        self.functions = _functions(library)
        self.mels, self.reduction = net.mels, net.frames.weight.shape[0] // net.mels
        location = pieces.location
        channels, taps = (0, 1) if location is None else (location.shape[1], location.shape[2])
        self.widths = [layer.weight.shape[0] for layer in net.prenet]
        shape = _Shape(
            PRECISIONS.index(precision), self.mels, self.reduction, pieces.memory.shape[2], net.first.hidden.shape[1],
            pieces.query.shape[0], channels, taps, ATTEND.index(net.attend), net.second_reads_context, len(net.prenet),
            (ctypes.c_int32 * MOST_PRENET_LAYERS)(*self.widths), net.zoneout,
        )  # fmt: skip
        folded = torch.zeros(0) if location is None else location.permute(1, 2, 0)  # C K A
        tensors = [*net.first, *net.second, pieces.query, folded, pieces.energy, *net.frames, *net.stop]
        held = [_plain(tensor) for tensor in tensors]  # alive until they are packed
        layers = [(_plain(layer.weight), _plain(layer.bias)) for layer in net.prenet]
        pointers = _Weights(**{name: tensor.data_ptr() for name, tensor in zip(_WEIGHTS, held, strict=True)})
        for i, (weight, bias) in enumerate(layers):
            pointers.prenet[i], pointers.prenet_bias[i] = weight.data_ptr(), bias.data_ptr()
        self.handle = _made(self.functions.decoder_new(ctypes.byref(shape), ctypes.byref(pointers)))
        weakref.finalize(self, self.functions.decoder_free, self.handle)

    @property
    def bytes(self) -> int:
        """Weights that one step reads."""
        return int(self.functions.decoder_bytes(self.handle))


class Generation:
    """Rows that are being spoken.

    Args:
        pieces: memory, keys and mask of the rows.
        threads: that work together.
    """

    def __init__(self, packed: Packed, pieces: AdditivePieces, threads: int) -> None:
        self.packed, self.threads = packed, threads  # the weights must live as long as this
        self.rows, self.symbols = pieces.mask.shape
        memory, keys, mask = _plain(pieces.memory), _plain(pieces.keys), pieces.mask.to(torch.uint8).contiguous()
        functions = packed.functions
        pointers = (memory.data_ptr(), keys.data_ptr(), mask.data_ptr())
        self._handle = _made(functions.decoder_start(packed.handle, self.rows, self.symbols, *pointers))
        weakref.finalize(self, functions.decoder_end, self._handle)

    def run(self, steps: int, keep: Sequence[Tensor] | None, stop_from: float = NEVER, forced: Tensor | None = None) -> Steps:
        """At most so many steps; fewer where a row may have stopped, the step that says so included.

        Args:
            keep: for each prenet layer the factors of its outputs, ``B steps P``, or None for no dropout.
            stop_from: the stop logit from which on a row may have stopped.
            forced: ``steps B M``: what each step is fed instead of its own last frame.
        """
        packed = self.packed
        frames = torch.zeros(steps, self.rows, packed.reduction, packed.mels)
        stops = torch.zeros(steps, self.rows)
        weights = torch.zeros(steps, self.rows, self.symbols)
        held = [_plain(layer) for layer in keep or ()]
        factors = (ctypes.c_void_p * len(held))(*(layer.data_ptr() for layer in held)) if held else None
        fed = None if forced is None else _plain(forced)
        made = packed.functions.decoder_run(
            self._handle, self.threads, steps, factors, None if fed is None else fed.data_ptr(), stop_from,
            frames.data_ptr(), stops.data_ptr(), weights.data_ptr(),
        )  # fmt: skip
        return Steps(frames[:made], stops[:made], weights[:made])

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in ascending order, go on."""
        self.packed.functions.decoder_keep(self._handle, (ctypes.c_int32 * len(rows))(*rows), len(rows))


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32).contiguous()


def _made(handle: int | None) -> int:
    if not handle:
        raise MemoryError("the native decoder got no memory for its weights or its state")
    return handle


def _functions(library: Library) -> ctypes.CDLL:
    """The library with the types of the functions that are called here. A library has its own copy of their declarations."""
    cdll, pointer, integer = library.cdll, ctypes.c_void_p, ctypes.c_int32
    declarations: dict[str, tuple[object, list[object]]] = {
        "decoder_new": (pointer, [pointer, pointer]),
        "decoder_bytes": (ctypes.c_int64, [pointer]),
        "decoder_free": (None, [pointer]),
        "decoder_start": (pointer, [pointer, integer, integer, pointer, pointer, pointer]),
        "decoder_run": (integer, [pointer, integer, integer, pointer, pointer, ctypes.c_float, pointer, pointer, pointer]),
        "decoder_keep": (None, [pointer, pointer, integer]),
        "decoder_end": (None, [pointer]),
    }
    for name, (result, arguments) in declarations.items():
        function = getattr(cdll, name)
        function.restype, function.argtypes = result, arguments
    return cdll
