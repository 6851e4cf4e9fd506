"""The self-attending decoder: its blocks, its cache, what it may see, its alignments, scheduled sampling."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from toolkit.attentions import ATTENTIONS
from toolkit.data.batches import Counts
from toolkit.decoders import DECODERS, TransformerDecoder
from toolkit.decoders.base import StopAtProbability, Targets
from toolkit.errors import ConfigError
from toolkit.models.feature_predictor import Prediction
from toolkit.models.losses import GuidedAttention
from toolkit.nn.attention_window import Window
from toolkit.nn.masks import padding_mask
from toolkit.nn.noise import Noise
from toolkit.testing import check

SYMBOLS = torch.tensor([5, 3])
MASK = padding_mask(SYMBOLS)
SIZES: dict[str, Any] = {"units": 8, "heads": 4, "layers": 3, "feed_forward": 12, "prenet": (6, 4)}


def built(reduction: int = 1, **knobs: Any) -> TransformerDecoder:
    torch.manual_seed(2)
    decoder = DECODERS.part("transformer", **(SIZES | knobs)).build(memory_dim=6, n_mels=2, reduction=reduction)
    assert isinstance(decoder, TransformerDecoder)
    return decoder.double().eval()


def memory() -> Tensor:
    torch.manual_seed(3)
    return torch.randn(2, 5, 6, dtype=torch.float64).masked_fill(MASK[..., None], 0.0)


def targets(frames: int = 8) -> Targets:
    torch.manual_seed(4)
    return Targets(torch.randn(2, frames, 2, dtype=torch.float64), torch.tensor([frames, 5]))


def noise() -> Noise:
    return Noise.of_rows([5, 6])


@pytest.mark.parametrize("knobs", [{"norm": "after"}, {"positions": "absolute"}, {"aligned_heads": 9, "aligned_layers": 9}])
def test_variants_keep_the_contract(knobs: dict[str, Any]) -> None:
    check(DECODERS.part("transformer", **(SIZES | knobs)), ATTENTIONS.part("content"))


def test_its_blocks_in_their_order() -> None:
    """Li et al. 2019, section 3: prenet, linear, positions, causal self-attention, attention over symbols, feed-forward, projections."""
    decoder = built(layers=1, prenet_dropout=0.0)
    layer, previous = decoder.layers[0], F.pad(targets().mel, (0, 0, 1, 0))[:, :-1]
    x = previous
    for dense in decoder.prenet.layers:
        x = torch.relu(dense(x))
    x = decoder.positions(decoder.centre(x))
    y = layer.around_past.norm(x)
    x = x + layer.past.attend(y, layer.past.known(y), torch.ones(8, 8, dtype=torch.bool).triu(1))
    x = x + layer.memory.attend(layer.around_memory.norm(x), layer.memory.known(memory()), MASK[:, None, None])
    x = decoder.norm(x + layer.feed_forward(layer.around_feed_forward.norm(x)))
    output = decoder(memory(), MASK, targets(), None)
    torch.testing.assert_close(output.mel, decoder.frames(x))
    torch.testing.assert_close(output.stop_logits, decoder.stop(x).squeeze(2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_later_frames_change_nothing_bit_for_bit(dtype: torch.dtype) -> None:
    decoder, known, mel = built().to(dtype), memory().to(dtype), targets(40).mel.to(dtype)
    later = mel.clone()
    later[:, 20:] += 3.0
    one, other = (decoder(known, MASK, Targets(frames, torch.tensor([40, 40])), None) for frames in (mel, later))
    assert torch.equal(one.mel[:, :21], other.mel[:, :21]) and torch.equal(one.weights[:, :21], other.weights[:, :21])
    assert torch.equal(one.stop_logits[:, :21], other.stop_logits[:, :21])
    assert not torch.equal(one.mel[:, 21], other.mel[:, 21])


@pytest.mark.parametrize("reduction", [1, 2])
def test_the_cache_equals_no_cache(reduction: int) -> None:
    """Free running, against forward over its own frames from the start; then each step against a forward that ends with it."""
    decoder = built(reduction)
    limit = torch.tensor([8, 5])
    free = decoder.generate(memory(), MASK, limit, StopAtProbability(2.0), noise())
    whole = decoder(memory(), MASK, Targets(free.mel, limit), noise())
    torch.testing.assert_close(whole.mel[0], free.mel[0])
    torch.testing.assert_close(whole.mel[1, :5], free.mel[1, :5])
    torch.testing.assert_close(whole.weights[0], free.weights[0])
    for frames in range(reduction, 9, reduction):
        piece = decoder(memory(), MASK, Targets(free.mel[:, :frames], limit), noise())
        torch.testing.assert_close(piece.mel[0, -reduction:], free.mel[0, frames - reduction : frames])


def test_an_earlier_state_can_be_taken_up_again() -> None:
    """Nothing that a step hands on is changed by the next."""
    decoder, frame = built(), targets().mel[:, 0]
    first = decoder.step(frame, decoder.start(memory(), MASK, None, 1))[3]
    once = decoder.step(frame, first)[0]
    decoder.step(frame + 1.0, first)
    assert torch.equal(decoder.step(frame, first)[0], once)


def test_a_step_looks_only_where_allowed() -> None:
    decoder = built(aligned_heads=4, aligned_layers=3)
    allowed = torch.tensor([[False, True, True, False, False], [True, False, True, True, True]])
    state = decoder.start(memory(), MASK, None, 1)
    frame = targets().mel[:, 0]
    frames, _, weights, after = decoder.step(frame, state, allowed)
    assert not weights[~allowed].any() and not weights[MASK].any()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, dtype=torch.float64))
    elsewhere = memory()
    elsewhere[~allowed] += 2.0
    torch.testing.assert_close(decoder.step(frame, decoder.start(elsewhere, MASK, None, 1), allowed)[0], frames)
    assert torch.equal(after.mask, MASK), "the next step is free again"


def test_a_window_confines_free_running() -> None:
    decoder = built(aligned_heads=4, aligned_layers=3)
    decoder.window = Window(0, 1)
    places = decoder.generate(memory(), MASK, torch.tensor([6, 6]), StopAtProbability(2.0), None).weights.argmax(2)
    assert not places[:, 0].gt(1).any() and bool(((places.diff() == 0) | (places.diff() == 1)).all())


def test_alignments_are_those_of_the_aligned_heads() -> None:
    """The mean of 2 heads in each of the last 2 of 3 layers."""
    decoder, seen = built(), []
    for layer in decoder.layers:
        weigh = layer.memory.weigh
        layer.memory.weigh = lambda *given, w=weigh: seen.append(w(*given)) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    output = decoder(memory(), MASK, targets(), None)
    assert len(seen) == 2
    torch.testing.assert_close(output.weights, sum(weights[:, head] for _, weights in seen for head in (0, 1)) / 4)
    torch.testing.assert_close(output.weights.sum(2), torch.ones(2, 8, dtype=torch.float64))
    assert not output.weights[1, :, 3:].any()


def test_guided_attention_shapes_the_aligned_heads_only() -> None:
    """Its gradient reaches queries of heads 0 and 1 of the last two layers."""
    decoder = built(dropout=0.0)
    output = decoder(memory(), MASK, targets(), None)
    loss = GuidedAttention()(Prediction(output, output.mel), targets(), SYMBOLS, Counts(2, 13, 130))
    layers = [layer.memory.query.weight for layer in decoder.layers]
    gradients = torch.autograd.grad(loss, layers)
    assert gradients[0].any() and gradients[1].any(), "through what stands above them"
    assert gradients[2][:4].any() and not gradients[2][4:].any()


def test_without_a_teacher_training_is_free_running() -> None:
    decoder = built(2)
    free = decoder.generate(memory(), MASK, torch.tensor([8, 8]), StopAtProbability(2.0), noise())
    led = decoder(memory(), MASK, targets(), noise(), teacher=0.0)
    torch.testing.assert_close(led.mel, free.mel)
    torch.testing.assert_close(led.weights, free.weights)
    some = decoder(memory(), MASK, targets(), noise(), teacher=0.5)
    assert not torch.allclose(some.mel, led.mel) and torch.equal(some.mel, decoder(memory(), MASK, targets(), noise(), teacher=0.5).mel)
    torch.testing.assert_close(
        decoder(memory(), MASK, targets(), noise(), teacher=1.0 - 1e-12).mel, decoder(memory(), MASK, targets(), noise()).mel
    )


def test_prenet_dropout_stays_on_at_synthesis() -> None:
    decoder, limit, never = built(), torch.tensor([4, 4]), StopAtProbability(2.0)
    still, one, other = (decoder.generate(memory(), MASK, limit, never, draws).mel for draws in (None, noise(), Noise.of_rows([7, 6])))
    assert not torch.equal(still, one)
    assert not torch.equal(one[0, 1:], other[0, 1:]) and torch.equal(one[1], other[1]), "a row has its own draws"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"layers": 0}, "layers: must be at least 1, got 0"),
        ({"aligned_heads": 0}, "aligned_heads: must be at least 1, got 0"),
        ({"heads": 3}, "heads: must divide units = 8, got 3"),
        ({"positions": "relative"}, "positions: unknown, got 'relative'; .*scaled"),
    ],
)
def test_mistakes_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(**knobs)
