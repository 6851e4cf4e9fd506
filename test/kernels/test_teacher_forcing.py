"""The fast teacher-forced decoder equals its plain twin: outputs, gradients, and who takes which path."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.attentions import ATTENTIONS
from toolkit.attentions.content import ContentAttention, ContentState
from toolkit.decoders import DECODERS, Tacotron2Decoder, tacotron2
from toolkit.decoders.base import Output, Targets
from toolkit.kernels import attention_run, cuda_graphs, lstm_run
from toolkit.kernels.products import Product, transposed_product
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.registry import Part

MELS, MEMORY = 5, 16
ATTENDING = {
    "content": Part("content", ContentAttention, {"dim": 8}),
    "location": ATTENTIONS.part("location_sensitive", dim=8, filters=4, kernel_size=5),
    "forward": ATTENTIONS.part("forward", dim=8),
    "sharpened": ATTENTIONS.part("location_sensitive", dim=8, filters=4, kernel_size=3, sharpening=1.5),
    "location_previous": ATTENTIONS.part("location_sensitive", dim=8, filters=4, kernel_size=7, previous=True),
}
WIRINGS = ["nvidia", "espnet", "paper"]

Gradients = dict[str, torch.Tensor]


class Case:
    """A decoder, what it is given, and what its outputs are weighed with."""

    def __init__(
        self, wiring: str, attention: str, rows: int = 3, symbols: int = 7, frames: int = 9, reduction: int = 1, zoneout: float = 0.2,
        training: bool = True, seed: int = 0, device: str = "cpu",
    ) -> None:  # fmt: skip
        torch.manual_seed(seed)
        part = DECODERS.part("tacotron2", prenet=(8, 12), lstm=24, zoneout=zoneout, wiring=wiring)
        decoder = part.build(memory_dim=MEMORY, n_mels=MELS, attention=ATTENDING[attention], reduction=reduction)
        assert isinstance(decoder, Tacotron2Decoder)
        self.decoder = decoder.train(training).to(device)
        for parameter in self.decoder.parameters():  # larger than at the start of a training, where much would go unnoticed
            parameter.data *= 2.0
        lengths = torch.randint(1, symbols + 1, (rows,))
        lengths[0] = symbols
        self.mask = padding_mask(lengths).to(device)
        self.memory = torch.randn(rows, symbols, MEMORY, device=device).masked_fill(self.mask[..., None], 0.0)
        self.targets = Targets(torch.randn(rows, frames, MELS, device=device), torch.full((rows,), frames, device=device))
        steps = -(-frames // reduction)
        shapes = ((rows, frames, MELS), (rows, steps), (rows, steps, symbols))
        self.weighing = [torch.randn(shape, device=device) for shape in shapes]
        self.seed, self.device = seed, device

    def run(self, plain: bool, only: slice = slice(0, 3), low: bool = False) -> tuple[list[torch.Tensor], Gradients]:
        """Outputs, and the gradients of a random sum of some of them."""
        forward = self.decoder.forward_plain if plain else self.decoder.forward
        self.decoder.zero_grad()
        memory = self.memory.clone().requires_grad_()
        with torch.autocast(self.device, torch.bfloat16, enabled=low):
            outputs = tensors(forward(memory, self.mask, self.targets, Noise.of_micro_batch(self.seed, 1, 1, self.device)))
        loss = sum(
            ((a.float() * b).sum() for a, b in list(zip(outputs, self.weighing, strict=True))[only]), torch.zeros(()).to(self.device)
        )
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in self.decoder.named_parameters() if p.grad is not None}
        assert memory.grad is not None
        return outputs, gradients | {"memory": memory.grad}


def tensors(output: Output) -> list[torch.Tensor]:
    assert output.weights is not None
    return [output.mel, output.stop_logits, output.weights]


def assert_equal(
    fast: tuple[list[torch.Tensor], Gradients], plain: tuple[list[torch.Tensor], Gradients], forward: float, backward: float
) -> None:
    """Outputs to ``forward``, gradients to ``backward`` of the largest value of each."""
    for a, b in zip(fast[0], plain[0], strict=True):
        assert a.shape == b.shape and float((a - b).detach().abs().max()) <= forward
    assert set(fast[1]) == set(plain[1])
    for name, gradient in plain[1].items():
        difference = float((fast[1][name] - gradient).abs().max())
        assert difference <= backward * float(gradient.abs().max()), f"gradient of {name} differs by {difference:.2g}"


@pytest.mark.parametrize("attention", ATTENDING)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_fast_equals_plain(wiring: str, attention: str, device: str) -> None:
    case = Case(wiring, attention, device=device)
    assert_equal(case.run(plain=False), case.run(plain=True), 1e-5, 1e-3)


@settings(max_examples=60, deadline=None)
@given(
    wiring=st.sampled_from(WIRINGS), attention=st.sampled_from(sorted(ATTENDING)), rows=st.integers(1, 4), symbols=st.integers(1, 9),
    frames=st.integers(1, 12), reduction=st.integers(1, 3), zoneout=st.sampled_from([0.0, 0.1, 0.7]), training=st.booleans(),
    seed=st.integers(0, 99), chunk=st.sampled_from([1, 4, 512]), block=st.sampled_from([1, 300, 2**20]),
)  # fmt: skip
def test_any_shape_and_chunk(chunk: int, block: int, **choice: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm_run, "CHUNK_ROWS", chunk)
        patch.setattr(attention_run, "BLOCK_VALUES", block)
        case = Case(**choice)
        assert_equal(case.run(plain=False), case.run(plain=True), 1e-5, 1e-3)


@pytest.mark.parametrize(("low", "zoneout"), [(False, 0.2), (False, 0.0), (True, 0.2)])
@pytest.mark.parametrize("attention", ATTENDING)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_replayed_chunks_equal_steps(
    wiring: str, attention: str, low: bool, zoneout: float, recordings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As graphs do: the operations of the first chunk, again and again on the same tensors; the last chunk is shorter."""
    monkeypatch.setattr(lstm_run, "CHUNK_ROWS", 9)
    case = Case(wiring, attention, frames=3 * (cuda_graphs.WARM_UP + 2) + 1, zoneout=zoneout)
    fast = case.run(plain=False, low=low)
    monkeypatch.setattr(cuda_graphs, "captures", lambda device: False)
    assert_equal(fast, case.run(plain=not low, low=low), 1e-5, 1e-3)
    assert [recording.replays for recording in recordings] == [cuda_graphs.WARM_UP + 2] * (2 if wiring == "paper" else 4)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_captured_chunks(wiring: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU a real graph, batch after batch."""
    monkeypatch.setattr(lstm_run, "CHUNK_ROWS", 9)
    for seed in range(3):
        case = Case(wiring, "location_previous", symbols=7 + seed, frames=3 * (cuda_graphs.WARM_UP + 2) + 1, seed=seed, device=device)
        assert_equal(case.run(plain=False), case.run(plain=True), 1e-5, 1e-3)


@pytest.mark.parametrize("only", [slice(0, 1), slice(1, 2), slice(2, 3)], ids=["mel", "stop", "guided_attention"])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_gradient_of_one_output_alone(wiring: str, only: slice) -> None:
    case = Case(wiring, "location_previous")
    assert_equal(case.run(plain=False, only=only), case.run(plain=True, only=only), 1e-5, 1e-3)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_backward_twice_gives_the_same(wiring: str) -> None:
    case = Case(wiring, "location")
    output = case.decoder(case.memory, case.mask, case.targets, Noise.of_micro_batch(1, 1, 1))
    loss, parameters = output.mel.square().sum(), list(case.decoder.first.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, parameters), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_without_gradients_and_noise(wiring: str, graphs: bool, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Validation and ground-truth-aligned mels: eval mode, nothing kept for gradients, zoneout as its expectation."""
    if graphs:
        request.getfixturevalue("recordings")
        monkeypatch.setattr(lstm_run, "CHUNK_ROWS", 9)
    case = Case(wiring, "location", frames=40, training=False)
    with torch.no_grad():
        fast = case.decoder(case.memory, case.mask, case.targets, None, hard=True)
        plain = case.decoder.forward_plain(case.memory, case.mask, case.targets, None, hard=True)
    for a, b in zip(tensors(fast), tensors(plain), strict=True):
        assert not a.requires_grad and torch.allclose(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_bf16_products_stay_close(wiring: str, device: str) -> None:
    """8 bits of mantissa: outputs within 0.05, gradients within 6 % of the largest, of float32."""
    case = Case(wiring, "location", rows=4, symbols=9, frames=12, device=device)
    low, full = case.run(plain=False, low=True), case.run(plain=True)
    assert_equal(([tensor.float() for tensor in low[0]], low[1]), full, 0.05, 0.06)
    assert float((low[0][2] - full[0][2]).detach().abs().max()) > 0, "the products were not in lower precision"


class Doubled(ContentAttention):
    """A plugin that changes ``forward`` of an attention that offers its pieces."""

    def forward(self, query: torch.Tensor, output: torch.Tensor, state: ContentState, allowed: torch.Tensor | None = None) -> Any:
        return super().forward(2.0 * query, output, state, allowed)


def calls_of_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    through = tacotron2.attend_through

    def counted(*arguments: Any) -> Any:
        calls.append("fast")
        return through(*arguments)

    monkeypatch.setattr(tacotron2, "attend_through", counted)
    return calls


def test_who_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of_the_fast_path(monkeypatch)
    case = Case("nvidia", "content")
    case.decoder(case.memory, case.mask, case.targets, None)
    assert calls == ["fast"]
    moving = Case("nvidia", "forward")
    moving.decoder(moving.memory, moving.mask, moving.targets, None)
    assert calls.pop() == calls[0] == "fast"
    case.decoder(case.memory, case.mask, case.targets, None, teacher=0.5)
    double = Targets(case.targets.mel.double(), case.targets.lengths)
    case.decoder.double()(case.memory.double(), case.mask, double, None)
    for other in (Part("doubled", Doubled, {"dim": 8}), ATTENTIONS.part("location_sensitive", dim=8, smoothing=True)):
        monkeypatch.setitem(ATTENDING, "other", other)
        changed = Case("nvidia", "other")
        assert_equal(changed.run(plain=False), changed.run(plain=True), 0.0, 0.0)
    assert calls == ["fast"]


@pytest.mark.parametrize("low", [None, torch.bfloat16])
def test_products(low: torch.dtype | None) -> None:
    x, weight = torch.randn(3, 20), torch.randn(7, 20)
    expected = x @ weight.T if low is None else x.to(low).float() @ weight.to(low).float().T
    for rows in (x, torch.cat([x, x], 1)[:, 20:]):  # also where rows do not follow each other
        assert torch.allclose(Product(weight, 3, low)(rows).float(), expected, rtol=1e-5 if low is None else 1e-2, atol=1e-5)
    total = torch.ones(7, 20)
    left = torch.randn(3, 7)
    transposed_product(left if low is None else left.to(low), x if low is None else x.to(low), total)
    assert torch.allclose(total, 1 + left.T @ x, rtol=1e-5 if low is None else 3e-2, atol=1e-5 if low is None else 3e-2)
