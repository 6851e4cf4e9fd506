"""The native decoder step equals the plain one, whatever the sizes, and runs only where it does."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.location_sensitive import LocationSensitiveAttention
from toolkit.decoders import tacotron2_generation
from toolkit.decoders.base import Output, StepDecoder, StopAtProbability, Targets
from toolkit.decoders.tacotron2 import WIRINGS, Tacotron2Decoder
from toolkit.nn.execution import Execution
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.registry import Part

ONE = Execution(threads=1)
SIZES = st.fixed_dictionaries({
    "mels": st.integers(1, 90),
    "reduction": st.integers(1, 4),
    "memory": st.integers(1, 70),
    "lstm": st.integers(1, 70),
    "prenet": st.lists(st.integers(1, 70), min_size=0, max_size=3),
    "zoneout": st.sampled_from([0.0, 0.1]),
    "wiring": st.sampled_from(WIRINGS),
    "attention": st.one_of(
        st.builds(lambda dim: ("content", {"dim": dim}), st.integers(1, 70)),
        st.builds(
            lambda dim, filters, half, previous: (
                "location_sensitive", {"dim": dim, "filters": filters, "kernel_size": 2 * half + 1, "previous": previous}
            ),
            st.integers(1, 70), st.integers(1, 5), st.integers(0, 9), st.booleans(),
        ),
    ),
})  # fmt: skip
TEXTS = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def make(sizes: dict[str, Any], cls: type[Tacotron2Decoder] = Tacotron2Decoder, seed: int = 1) -> Tacotron2Decoder:
    """A random decoder whose stop probability moves about 0.5."""
    torch.manual_seed(seed)
    name, knobs = sizes["attention"]
    decoder = cls(
        sizes["memory"], sizes["mels"], ATTENTIONS.part(name, **knobs), sizes["reduction"],
        prenet=tuple(sizes["prenet"]), lstm=sizes["lstm"], zoneout=sizes["zoneout"], wiring=sizes["wiring"],
    ).eval()  # fmt: skip
    with torch.no_grad():
        decoder.stop.weight.mul_(8.0)
        decoder.attention.energies.energy.weight.mul_(4.0)
    decoder.execution = ONE
    return decoder


SMALL = {
    "mels": 7, "reduction": 2, "memory": 12, "lstm": 20, "prenet": [9, 8], "zoneout": 0.1, "wiring": "nvidia",
    "attention": ("location_sensitive", {"dim": 10, "filters": 3, "kernel_size": 5, "previous": True}),
}  # fmt: skip


def text(lengths: list[int], dim: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(len(lengths))
    mask = padding_mask(torch.tensor(lengths))
    return torch.randn(*mask.shape, dim).masked_fill(mask[..., None], 0.0), mask


def speak(decoder: Tacotron2Decoder, memory: Tensor, mask: Tensor, rows: list[int], steps: int, threshold: float = 0.5) -> Output:
    """Some rows of a batch, each with its own seed and limit."""
    limit = torch.tensor([steps * decoder.reduction - row % 5 for row in rows]).clamp(min=1)
    size = int((~mask[rows]).sum(1).max())
    noise = Noise.of_rows([100 + row for row in rows])
    with torch.inference_mode():
        native = tacotron2_generation.generate(
            decoder, memory[rows, :size], mask[rows, :size], limit, StopAtProbability(threshold), noise, None
        )
    assert native is not None, "the native step is there"
    return native


def plainly(decoder: Tacotron2Decoder, memory: Tensor, mask: Tensor, steps: int, threshold: float = 0.5) -> Output:
    limit = torch.tensor([steps * decoder.reduction - row % 5 for row in range(len(mask))]).clamp(min=1)
    noise = Noise.of_rows([100 + row for row in range(len(mask))])
    with torch.inference_mode():
        return StepDecoder.generate(decoder, memory, mask, limit, StopAtProbability(threshold), noise)


def assert_same(native: Output, plain: Output, reduction: int, tolerance: float = 1e-5) -> None:
    """The same ends and, up to each row's end, the same values."""
    assert native.stopped_by == plain.stopped_by
    assert native.lengths.tolist() == plain.lengths.tolist()
    assert native.mel.shape == plain.mel.shape
    torch.testing.assert_close(native.mel, plain.mel, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(native.weights, plain.weights, atol=tolerance, rtol=tolerance)
    for row, frames in enumerate(plain.lengths.tolist()):
        steps = -(-frames // reduction)
        torch.testing.assert_close(native.stop_logits[row, :steps], plain.stop_logits[row, :steps], atol=tolerance, rtol=tolerance)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, lengths=TEXTS, seed=st.integers(0, 99))
def test_whole_utterances_are_those_of_the_plain_step(target: str, sizes: dict[str, Any], lengths: list[int], seed: int) -> None:
    decoder = make(sizes, seed=seed)
    memory, mask = text(lengths, sizes["memory"])
    plain = plainly(decoder, memory, mask, 12)
    assert_same(speak(decoder, memory, mask, list(range(len(lengths))), 12), plain, decoder.reduction)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_row_does_not_depend_on_its_batch(target: str, precision: str) -> None:
    decoder = make({**SMALL, "lstm": 70, "memory": 40})
    decoder.execution = ONE._replace(precision=precision)
    lengths = [3 + 5 * row % 23 for row in range(37)]
    memory, mask = text(lengths, 40)
    together = speak(decoder, memory, mask, list(range(37)), 20)
    assert len(set(together.lengths.tolist())) > 3, "rows end at different times"
    for row in (0, 5, 16, 36):
        alone = speak(decoder, memory, mask, [row], 20)
        frames = int(together.lengths[row])
        assert int(alone.lengths[0]) == frames
        torch.testing.assert_close(alone.mel[0, :frames], together.mel[row, :frames], atol=1e-5, rtol=0)
    exact = plainly(decoder, memory, mask, 20)
    agree = [row for row in range(37) if exact.lengths[row] == together.lengths[row]]
    assert len(agree) > 30
    error = (exact.mel[agree, :20] - together.mel[agree, :20]).abs().max()
    assert error < {"fp32": 1e-5, "bf16": 0.02, "int8": 0.05}[precision]


def test_threads_change_nothing(target: str) -> None:
    decoder = make({**SMALL, "lstm": 70})
    memory, mask = text([20, 9, 14], 12)
    single = speak(decoder, memory, mask, [0, 1, 2], 15)
    decoder.execution = ONE._replace(threads=2)
    several = speak(decoder, memory, mask, [0, 1, 2], 15)
    assert torch.equal(single.mel, several.mel) and torch.equal(single.stop_logits, several.stop_logits)


@pytest.mark.parametrize(("threshold", "steps"), [(-1.0, 1), (0.0, 1), (1.0, 70), (2.0, 70)])
def test_any_threshold_is_obeyed(target: str, threshold: float, steps: int) -> None:
    decoder = make(SMALL)
    memory, mask = text([6, 4], 12)
    native = speak(decoder, memory, mask, [0, 1], 70, threshold)
    assert_same(native, plainly(decoder, memory, mask, 70, threshold), 2, 1e-4)
    assert native.stop_logits.shape[1] == steps


@pytest.mark.parametrize("wiring", WIRINGS)
def test_teacher_forcing_equals_the_plain_forward(target: str, wiring: str) -> None:
    decoder = make({**SMALL, "wiring": wiring})
    memory, mask = text([8, 5], 12)
    targets = Targets(torch.randn(2, 13, 7), torch.tensor([13, 9]))
    with torch.no_grad():
        forced = tacotron2_generation.teacher_forced(decoder, memory, mask, targets, Noise.of_rows([1, 2]))
        plain = decoder.forward_plain(memory, mask, targets, Noise.of_rows([1, 2]), hard=True)
    assert forced is not None
    for name in ("mel", "stop_logits", "weights"):
        torch.testing.assert_close(getattr(forced, name), getattr(plain, name), atol=1e-5, rtol=1e-5)


def test_frames_are_heard_step_by_step(target: str) -> None:
    decoder = make(SMALL)
    memory, mask = text([8, 5], 12)
    heard: list[Tensor] = []
    with torch.inference_mode():
        output = decoder.generate(memory, mask, torch.tensor([40, 11]), StopAtProbability(2.0), None, heard.append)
    assert len(heard) == 20 and all(frames.shape == (2, 2, 7) for frames in heard)
    assert torch.equal(torch.cat(heard, 1), output.mel)
    assert not output.mel[1, 12:].any()


def test_changed_weights_are_packed_again(target: str) -> None:
    decoder = make(SMALL)
    memory, mask = text([8], 12)
    before = speak(decoder, memory, mask, [0], 9)
    with torch.no_grad():
        decoder.frames.weight.add_(0.1)
    assert_same(speak(decoder, memory, mask, [0], 9), plainly(decoder, memory, mask, 9), 2)
    decoder.load_state_dict(make(SMALL).state_dict())
    assert_same(speak(decoder, memory, mask, [0], 9), before, 2)


class Louder(Tacotron2Decoder):
    """A decoder of a user's own: another step."""

    def step(self, frame: Tensor, state: Any, allowed: Tensor | None = None) -> Any:
        frames, stop, weights, state = super().step(frame, state, allowed)
        return frames * 2.0, stop, weights, state


class OwnAttention(LocationSensitiveAttention):
    """An attention of a user's own: another forward."""

    def forward(self, query: Tensor, output: Tensor, state: Any, allowed: Tensor | None = None) -> Any:
        return super().forward(query * 0.5, output, state, allowed)


class Patient(StopAtProbability):
    """A stop rule of a user's own."""


def own_attention() -> Tacotron2Decoder:
    part = Part("own", OwnAttention, {"dim": 10, "filters": 3, "kernel_size": 5, "previous": True})
    return Tacotron2Decoder(12, 7, part, 2, prenet=(9,), lstm=20).eval()


@pytest.mark.parametrize(
    ("decoder", "rule", "dtype"),
    [
        (make(SMALL, Louder), StopAtProbability(), torch.float32),
        (own_attention(), StopAtProbability(), torch.float32),
        (make(SMALL | {"attention": ("forward", {"dim": 10})}), StopAtProbability(), torch.float32),
        (make(SMALL), Patient(), torch.float32),
        (make(SMALL).double(), StopAtProbability(), torch.float64),
        (make(SMALL).train(), StopAtProbability(), torch.float32),
    ],
    ids=["step", "attention", "forward attention", "stop rule", "float64", "training"],
)
def test_anything_else_runs_step_by_step(target: str, decoder: Tacotron2Decoder, rule: StopAtProbability, dtype: torch.dtype) -> None:
    memory, mask = text([8, 5], 12)
    limit = torch.tensor([6, 8])
    with torch.inference_mode():
        assert tacotron2_generation.generate(decoder, memory.to(dtype), mask, limit, rule, None, None) is None
        output = decoder.generate(memory.to(dtype), mask, limit, rule, None)
        plain = StepDecoder.generate(decoder, memory.to(dtype), mask, limit, rule, None)
    assert torch.equal(output.mel, plain.mel)


def test_without_native_kernels_the_plain_steps_run(target: str) -> None:
    decoder = make(SMALL)
    memory, mask = text([8], 12)
    decoder.execution = Execution(native=False)
    assert tacotron2_generation.native_step(decoder, memory, mask, None) is None
    decoder.execution = ONE
    memory.requires_grad_()
    assert tacotron2_generation.native_step(decoder, memory, mask, None) is None, "gradients are wanted"
