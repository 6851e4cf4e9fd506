"""The contract tests of every kind of part. The author of a part runs them on his own: ``check(ATTENTIONS.part("mine"))``.

Each check builds the part small, in float64 and eval mode, without noise and with fixed noise, and raises AssertionError
with the promise that is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.attentions import Attention
from toolkit.audio.mel import MelSettings
from toolkit.contracts import CHECKS
from toolkit.data.batches import Counts, WaveBatch
from toolkit.decoders.base import Decoder, PlannedDecoder, StepDecoder, StopAtProbability, Targets
from toolkit.encoders import Encoder
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.postnets import Postnet
from toolkit.registry import Part
from toolkit.vocoders import Vocoder

TOLERANCE = 1e-5
FEATURES = MelSettings(sample_rate=8000, hop=20, window=80, n_fft=128, n_mels=5, f_min=60.0, f_max=3800.0, floor=1e-3)
LENGTHS = torch.tensor([7, 4])
SYMBOLS = ("<pad>", "<eos>", " ", ",", "AH0", "HH", "L", "OW1", "W")


def check(part: Part[Any], attention: Part[Attention] | None = None) -> None:
    """Run the contract tests of the part's kind. A decoder is tested with ``attention``.

    Raises:
        AssertionError: a promise of the contract is broken.
        TypeError: the kind has no contract tests.
    """
    torch.manual_seed(1)
    checks: dict[type, Callable[[Any], None]] = {
        Encoder: check_encoder, Attention: check_attention, Postnet: check_postnet, Vocoder: check_vocoder, **CHECKS,
    }  # fmt: skip
    if issubclass(part.cls, Decoder):
        if attention is None:
            raise TypeError(f"{part.name}: a decoder is tested with an attention; give one")
        check_decoder(part, attention)
        return
    for base, run in checks.items():
        if issubclass(part.cls, base):
            run(part)
            return
    raise TypeError(f"{part.name}: no contract tests for {part.cls.__name__}")


def check_encoder(part: Part[Encoder]) -> None:
    """Shapes, zeros on padding, padding and batch change nothing, gradients, no hidden state."""
    encoder = part.build(num_symbols=len(SYMBOLS), symbols=SYMBOLS).double().eval()
    tokens = torch.randint(2, 9, (2, 7)).masked_fill(padding_mask(LENGTHS), 0)
    memory = encoder(tokens, LENGTHS)
    assert memory.shape == (2, 7, encoder.out_dim), f"memory is B S out_dim, got {tuple(memory.shape)}"
    _zero(memory[1, 4:], "memory")
    _same(encoder(tokens[1:, :4], LENGTHS[1:]), memory[1:, :4], "padding and batch change nothing")
    _same(encoder(tokens, LENGTHS), memory, "a second call needs no reset")
    _gradients(encoder, lambda: encoder(tokens, LENGTHS).square().sum())


def check_attention(part: Part[Attention]) -> None:
    """Weights over valid positions that ``allowed`` restricts, padding and batch, gradients, no hidden state."""
    attention = part.build(memory_dim=6, query_dim=5, output_dim=4).double().eval()
    memory, mask = torch.randn(2, 7, 6, dtype=torch.float64), padding_mask(LENGTHS)
    queries, outputs = torch.randn(2, 2, 5, dtype=torch.float64), torch.randn(2, 2, 4, dtype=torch.float64)

    def run(rows: slice, size: int, hard: bool = False) -> tuple[Tensor, Tensor]:
        state = attention.start(memory[rows, :size], mask[rows, :size], Noise.of_rows([3, 4][rows]), hard)
        for step in range(2):
            context, weights, state = attention(queries[step, rows], outputs[step, rows], state)
        return context, weights

    for hard in (False, True):
        context, weights = run(slice(0, 2), 7, hard)
        assert context.shape == (2, 6) and weights.shape == (2, 7), "context is B D, weights B S"
        assert bool((weights >= 0).all()), "weights are not negative"
        _zero(weights[1, 4:], "weights")
        alone = run(slice(1, 2), 4, hard)
        _same(alone[0], context[1:], "padding and batch change nothing")
        _same(run(slice(0, 2), 7, hard)[0], context, "a second utterance needs no reset")
    allowed = torch.zeros(2, 7, dtype=torch.bool)
    allowed[:, 1:3] = True
    state = attention.start(memory, mask, None)
    _zero(attention(queries[0], outputs[0], state, allowed)[1][~allowed], "weights outside allowed")
    _gradients(attention, lambda: run(slice(0, 2), 7)[0].square().sum(), _steps_of(attention, memory, mask, queries, outputs))


def _steps_of(attention: Attention, memory: Tensor, mask: Tensor, queries: Tensor, outputs: Tensor) -> Callable[[], Tensor]:
    def loss() -> Tensor:
        state, total = attention.start(memory, mask, None), torch.zeros((), dtype=torch.float64)
        for step in (0, 1, 0):
            context, weights, state = attention(queries[step], outputs[step], state)
            total = total + context.square().sum() + weights.square().sum()
        return total

    return loss


def check_postnet(part: Part[Postnet]) -> None:
    """Shapes, zeros on padding, padding and batch, the stated lookahead, gradients."""
    features = FEATURES if part.cls.residual else dataclasses.replace(FEATURES, kind="linear")
    postnet = part.build(n_mels=features.bins, features=features).double().eval()
    width = part.cls.frame_dim(features)
    assert width == features.bins or not postnet.residual, "a residual is as wide as the features"
    mel, lengths = torch.randn(2, 40, width, dtype=torch.float64), torch.tensor([40, 25])
    mask = padding_mask(lengths)
    made = postnet(mel, mask)
    assert made.shape == (2, 40, features.bins), f"output is B T F, got {tuple(made.shape)}"
    _zero(made[1, 25:], "output")
    _same(postnet(mel[1:, :25], mask[1:, :25]), made[1:, :25], "padding and batch change nothing")
    later = mel.clone()
    later[:, 20 + postnet.lookahead + 1 :] += 1.0
    _same(postnet(later, mask)[:, :21], made[:, :21], "a frame depends on no more than lookahead later ones")
    _gradients(postnet, lambda: (postnet(mel, mask) * torch.linspace(-1, 1, features.bins)).sum())
    frames = postnet.frames_of(made)
    assert frames.shape == mel.shape and bool(frames.isfinite().all()), f"frames_of is B T M, got {tuple(frames.shape)}"


def check_decoder(part: Part[Decoder], attention: Part[Attention]) -> None:
    """Step by step equals forward, padding and batch, bounded free running, gradients, no hidden state; for r of 1 and 2, and 1 of 2.

    A ``PlannedDecoder`` has as many frames as its durations say: r is 1, and where it ends is its own plan.
    """
    planned = issubclass(part.cls, PlannedDecoder)
    width, frame = part.cls.memory_width or 6, part.cls.condition_dim(FEATURES)
    for reduction in (1,) if planned else (1, 2):
        decoder = part.build(memory_dim=width, n_mels=5, attention=attention, reduction=reduction).double().eval()
        memory, mask = torch.randn(2, 7, width, dtype=torch.float64), padding_mask(LENGTHS)
        memory = memory.masked_fill(mask[..., None], 0.0)
        targets = _targets(decoder.needs)
        for noise in (None, Noise.of_rows([5, 6])):
            output = decoder(memory, mask, targets, noise)
            assert output.mel.shape == (2, 9, frame), f"mel is B T {frame}, got {tuple(output.mel.shape)}"
            assert output.stop_logits.shape == (2, -(-9 // reduction)), "stop_logits is B T/r"
            single = decoder(memory[1:, :4], mask[1:, :4], _second(targets), noise and Noise.of_rows([6]))
            _same(single.mel, output.mel[1:, :5], "padding and batch change nothing")
            _same(decoder(memory, mask, targets, noise).mel, output.mel, "a second call needs no reset")
            if isinstance(decoder, StepDecoder):
                _check_steps(decoder, memory, mask, targets, noise, reduction)
        (_check_planned_running if planned else _check_free_running)(decoder, memory, mask)
        if isinstance(decoder, StepDecoder) and reduction == 2:
            _check_fewer_frames(decoder, memory, mask, targets)
        _gradients(decoder, lambda d=decoder, m=memory, k=mask, t=targets: _decoder_loss(d, m, k, t))  # type: ignore[misc]


def _targets(needs: Sequence[str]) -> Targets:
    """Two rows of 9 and 5 frames, 7 and 4 symbols, with what the decoder needs beside the mel."""
    more = {
        "durations": torch.tensor([[2, 1, 0, 3, 1, 1, 1], [1, 2, 0, 2, 0, 0, 0]]),
        "f0": torch.tensor([[0, 90, 95, 0, 0, 110, 120, 0, 0], [0, 0, 200, 180, 0, 0, 0, 0, 0]], dtype=torch.float64),
        "energy": torch.tensor([[0, 1, 3, 2, 2, 1, 0, 0, 0], [1, 4, 2, 2, 0, 0, 0, 0, 0]], dtype=torch.float64),
    }
    return Targets(torch.randn(2, 9, 5, dtype=torch.float64), torch.tensor([9, 5]), **{name: more[name] for name in needs})


def _second(targets: Targets) -> Targets:
    """The second row of ``_targets`` alone."""
    short = Targets(targets.mel[1:, :5], targets.lengths[1:])
    sizes = {"durations": 4, "f0": 5, "energy": 5}
    given = {name: values for name, values in targets._asdict().items() if name in sizes and values is not None}
    return short._replace(**{name: values[1:, : sizes[name]] for name, values in given.items()})


def _check_steps(decoder: StepDecoder, memory: Tensor, mask: Tensor, targets: Targets, noise: Noise | None, reduction: int) -> None:
    output = decoder(memory, mask, targets, noise)
    state = decoder.start(memory, mask, noise, reduction)
    frame, frames, stops = memory.new_zeros(2, 5), [], []
    for step in range(output.stop_logits.shape[1]):
        made, stop, _, state = decoder.step(frame, state)
        frames.append(made)
        stops.append(stop)
        frame = targets.mel[:, min((step + 1) * reduction, 9) - 1]
    _same(torch.cat(frames, 1)[:, :9], output.mel, "step by step equals forward")
    _same(torch.stack(stops, 1), output.stop_logits, "stop logits step by step equal forward")


def _check_fewer_frames(decoder: StepDecoder, memory: Tensor, mask: Tensor, targets: Targets) -> None:
    """One that was built for two frames a step makes the first of them where its task asks for one."""
    both = decoder(memory, mask, targets, None).mel
    decoder.emit(1)
    output = decoder(memory, mask, targets, None)
    assert output.stop_logits.shape == (2, 9), "a step emits no more than the reduction that a task sets"
    _same(output.mel[:, :1], both[:, :1], "fewer frames of a step are the first of all")
    _check_steps(decoder, memory, mask, targets, None, 1)
    _check_free_running(decoder, memory, mask)
    decoder.emit(2)


def _check_free_running(decoder: Decoder, memory: Tensor, mask: Tensor) -> None:
    limit = torch.tensor([6, 3])
    never = StopAtProbability(2.0)
    both = decoder.generate(memory, mask, limit, never, Noise.of_rows([5, 6]))
    assert both.lengths.tolist() == [6, 3] and both.stopped_by == ["limit", "limit"], "free running ends at the limit"
    alone = decoder.generate(memory[1:, :4], mask[1:, :4], limit[1:], never, Noise.of_rows([6]))
    _same(alone.mel[0, :3], both.mel[1, :3], "a row's free run does not depend on its batch")
    at_once = decoder.generate(memory, mask, limit, StopAtProbability(-1.0), Noise.of_rows([5, 6]))
    assert at_once.stopped_by == ["stop", "stop"], "free running obeys the stop rule"


def _check_planned_running(decoder: Decoder, memory: Tensor, mask: Tensor) -> None:
    """The ends are those of the durations that the decoder predicts, or the limit."""
    never, noise = StopAtProbability(2.0), Noise.of_rows([5, 6])
    whole = decoder.generate(memory, mask, torch.tensor([900, 900]), never, noise)
    assert whole.stopped_by == ["stop", "stop"], "free running ends where the durations do"
    limit = torch.stack([whole.lengths[0] - 1, whole.lengths[1]])
    cut = decoder.generate(memory, mask, limit, never, noise)
    assert cut.lengths.tolist() == limit.tolist() and cut.stopped_by == ["limit", "stop"], "free running ends at the limit"
    size = int(limit.max())
    _zero(cut.mel[padding_mask(limit, size)], "mel")
    alone = decoder.generate(memory[1:, :4], mask[1:, :4], limit[1:], never, Noise.of_rows([6]))
    _same(alone.mel[0], cut.mel[1, : limit[1]], "a row's free run does not depend on its batch")


def _decoder_loss(decoder: Decoder, memory: Tensor, mask: Tensor, targets: Targets) -> Tensor:
    output = decoder(memory, mask, targets, None)
    loss = output.stop_logits.square().sum()
    if decoder.makes_spectrum:
        loss = loss + (output.mel - targets.mel).square().sum()
    return sum(decoder.losses(output, targets).values(), loss)


def check_vocoder(part: Part[Vocoder]) -> None:
    """Lengths, zeros past them, batch changes nothing, repeatable; where trained: finite losses and gradients."""
    vocoder = part.build(condition_dim=5, hop=20, sample_rate=8000, features=FEATURES).double().eval()
    condition, lengths = torch.randn(2, 6, 5, dtype=torch.float64) - 3.0, torch.tensor([6, 4])
    with torch.inference_mode():
        wave = vocoder.generate(condition, lengths, Noise.of_rows([1, 2]))
        assert wave.shape == (2, 120), f"wave is B T*hop, got {tuple(wave.shape)}"
        assert bool(wave.isfinite().all()) and float(wave.abs().max()) <= 1.0, "samples lie in [-1, 1]"
        _zero(wave[1, 80:], "wave")
        _same(vocoder.generate(condition[1:, :4], lengths[1:], Noise.of_rows([2]))[0], wave[1, :80], "batch changes nothing")
        _same(vocoder.generate(condition, lengths, Noise.of_rows([1, 2])), wave, "a second call needs no reset")
    if vocoder.trainable:
        crop, context = 4, vocoder.context
        batch = WaveBatch(
            ["a", "b"], torch.randn(2, context + crop + vocoder.lookahead, 5, dtype=torch.float64) - 3.0,
            torch.rand(2, (context + crop) * 20, dtype=torch.float64) - 0.5, torch.zeros(2, dtype=torch.int64),
            torch.full((2,), (context + crop) * 20), context, Counts(2, 2 * crop, 2 * crop * 20), (1, 1, 0),
        )  # fmt: skip
        _gradients(vocoder, lambda: sum(vocoder.losses(batch, "main").values(), torch.zeros((), dtype=torch.float64)))


def _same(a: Tensor, b: Tensor, promise: str) -> None:
    difference = float((a - b).detach().abs().max()) if a.numel() else 0.0
    assert a.shape == b.shape and difference <= TOLERANCE, f"{promise}; differs by {difference:.2g}"


def _zero(values: Tensor, what: str) -> None:
    assert not bool(values.detach().any()), f"{what} is 0 on padding"


def _gradients(module: nn.Module, *losses: Callable[[], Tensor]) -> None:
    """Every parameter gets a finite gradient from the last of the losses, and those of two passes add up."""
    if not any(True for _ in module.parameters()):
        return
    module.zero_grad()
    losses[-1]().backward()  # type: ignore[no-untyped-call]
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), f"gradient reaches {name}"
        assert bool(parameter.grad.any()), f"gradient of {name} is not all zero"
    once = {name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None}
    losses[-1]().backward()  # type: ignore[no-untyped-call]
    for name, parameter in module.named_parameters():
        twice = parameter.grad if parameter.grad is not None else once[name]
        _same(twice / once[name].norm(), 2 * once[name] / once[name].norm(), f"gradients of {name} add up over two passes")
