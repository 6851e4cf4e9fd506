"""HiFi-GAN, Parallel WaveGAN and Vocos: what a sample depends on, streams, crops, and settings that cannot be."""

from typing import Any

import pytest
import torch

from toolkit.audio.mel import MelSettings
from toolkit.data.batches import Counts, WaveBatch
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.vocoders import VOCODERS
from toolkit.vocoders.base import ParallelVocoder

SMALL: dict[str, dict[str, Any]] = {
    "hifigan": {"channels": 16, "block_kernels": (3, 5), "block_dilations": [[1, 2], [1, 3]]},
    "parallel_wavegan": {"layers": 6, "cycles": 2, "residual": 8, "gate": 8, "skip": 8, "resolutions": [[64, 16, 32], [32, 8, 16]]},
    "vocos": {"layers": 2, "width": 8, "hidden": 16},
}
NAMES = sorted(SMALL)
BANDS = 3
NOISE = Noise.of_rows([3])


def built(name: str, hop: int = 20, **knobs: Any) -> ParallelVocoder:
    torch.manual_seed(1)
    window = 4 * hop
    features = MelSettings(sample_rate=8000, hop=hop, window=window, n_fft=2048, n_mels=BANDS, f_min=0.0, f_max=4000.0)
    part = VOCODERS.part(name, **{**SMALL[name], **knobs})
    vocoder = part.build(condition_dim=BANDS, hop=hop, sample_rate=8000, features=features).double().eval()
    with torch.no_grad():
        for parameter in vocoder.parameters():  # so that what is far away matters too
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    assert isinstance(vocoder, ParallelVocoder)
    return vocoder


def frames(count: int) -> torch.Tensor:
    return torch.randn(1, count, BANDS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("knobs", [{}, {"hold_edges": False}])
@pytest.mark.parametrize("name", NAMES)
def test_context_and_lookahead_are_the_receptive_field(name: str, knobs: dict[str, Any]) -> None:
    vocoder = built(name, **knobs)
    middle, count = vocoder.context + 3, vocoder.context + vocoder.lookahead + 7
    condition = frames(count).requires_grad_()
    wave = vocoder(condition, vocoder.draws(None, 0, count, condition))
    made = wave[0, middle * 20 : (middle + 1) * 20]
    reached = torch.zeros(count, dtype=torch.bool)
    for sample in made:
        (gradient,) = torch.autograd.grad(sample, condition, retain_graph=True)
        reached |= gradient[0].abs().sum(1) > 0
    assert reached.nonzero().flatten().tolist() == list(range(middle - vocoder.context, middle + vocoder.lookahead + 1))


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("sizes", [[40], [1, 1, 1, 37], [5, 9, 26], [13] * 3 + [1]])
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_equals_the_whole(name: str, sizes: list[int], hold: bool) -> None:
    vocoder = built(name, hold_edges=hold)
    condition = frames(40)
    whole = vocoder.generate(condition, torch.tensor([40]), NOISE)
    parts = list(vocoder.stream(iter(condition.split(sizes, 1)), NOISE))
    assert torch.cat(parts, 1).shape == whole.shape == (1, 800)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_an_utterance_shorter_than_the_receptive_field_streams_too(name: str) -> None:
    vocoder, condition = built(name), frames(2)
    whole = vocoder.generate(condition, torch.tensor([2]), NOISE)
    assert torch.allclose(torch.cat(list(vocoder.stream(iter(condition.split(1, 1)), NOISE)), 1), whole, atol=1e-9)
    assert list(vocoder.stream(iter([]), NOISE)) == []


@pytest.mark.parametrize("hop", [256, 275, 300])
@pytest.mark.parametrize("name", NAMES)
def test_every_hop_gives_exactly_its_samples(name: str, hop: int) -> None:
    vocoder = built(name, hop)
    assert vocoder.generate(frames(3), torch.tensor([3]), NOISE).shape == (1, 3 * hop)


@pytest.mark.parametrize("name", NAMES)
def test_a_crop_is_that_part_of_the_whole(name: str) -> None:
    """With its context and lookahead a crop is made as in the utterance; past the end it is zero and does not count."""
    vocoder = built(name)
    count = vocoder.context + 4 + vocoder.lookahead
    condition, wave = frames(count), torch.rand(1, (vocoder.context + 4) * 20, dtype=torch.float64) - 0.5
    ends = torch.tensor([(vocoder.context + 3) * 20])
    ones = torch.zeros(1, dtype=torch.int64)
    batch = WaveBatch(["a"], condition, wave, ones, ends, vocoder.context, Counts(1, 3, 60), (1, 2, 0))
    made, true = vocoder.crops(batch)
    draws = vocoder.draws(Noise.of_micro_batch(1, 2, 0), 0, count, condition)
    whole = vocoder(condition, draws)
    assert torch.equal(true, wave[:, vocoder.context * 20 :])
    assert torch.equal(made[:, :60], whole[:, vocoder.context * 20 : (vocoder.context + 3) * 20])
    assert not made[:, 60:].any()
    loss = torch.stack(list(vocoder.losses(batch, "main").values())).sum()
    halved = torch.stack(list(vocoder.losses(batch._replace(counts=Counts(2, 6, 120)), "main").values())).sum()
    assert halved.item() == pytest.approx(loss.item() / 2)


def test_statistics_normalise_the_frames() -> None:
    vocoder = built("vocos")
    condition = frames(5)
    plain = vocoder.generate(condition, torch.tensor([5]), None)
    vocoder.use_statistics(torch.full((BANDS,), 2.0), torch.full((BANDS,), 3.0))
    assert torch.allclose(vocoder.generate(condition * 3 + 2, torch.tensor([5]), None), plain)


def test_a_phase_is_made_in_single_precision() -> None:
    vocoder, seen = built("vocos").float(), list[torch.Tensor]()
    vocoder.out.register_forward_hook(lambda layer, given, made: seen.append(made))
    with torch.autocast("cpu", torch.bfloat16):
        assert vocoder(frames(5).float()).dtype == torch.float32
    assert [made.dtype for made in seen] == [torch.float32]


def test_first_weights_of_parallel_wavegan_are_the_published_ones() -> None:
    """Deviations of the square root of 2 over the inputs of each convolution; those over taps and condition share a product."""
    torch.manual_seed(1)
    part = VOCODERS.part("parallel_wavegan", layers=1, cycles=1).build(condition_dim=80, hop=256, sample_rate=24000, features=MelSettings())
    (layer,), over_frames = part.stack.each(), part.upsample_net.conv_in
    assert float(layer.gates.weight[:, :192].detach().std()) == pytest.approx((2 / 192) ** 0.5, rel=0.05)
    assert float(layer.gates.weight[:, 192:].detach().std()) == pytest.approx((2 / 80) ** 0.5, rel=0.05)
    assert float(over_frames.weight.detach().std()) == pytest.approx((2 / 400) ** 0.5, rel=0.05)
    assert float(layer.skip.weight.detach().std()) == pytest.approx((2 / 64) ** 0.5, rel=0.05) and not layer.gates.bias.any()
    assert all("parametrizations" in name for name, _ in part.named_parameters() if name.endswith("weight"))
    assert torch.allclose(part.upsample_net.up_layers[0].weight, torch.full((), 1 / 9))


def test_published_sizes() -> None:
    """HiFi-GAN, table 1: 13.92, 0.92 and 1.46 M (V1 to V3); Vocos, table 1: 13.5 M, with 100 bands."""

    def millions(name: str, bands: int, features: MelSettings, **knobs: Any) -> float:
        part = VOCODERS.part(name, **knobs).build(condition_dim=bands, hop=256, sample_rate=24000, features=features)
        return sum(p.numel() for key, p in part.named_parameters() if "original0" not in key) / 1e6

    features = MelSettings(hop=256, window=1024, n_fft=1024, n_mels=80, f_min=0.0, f_max=8000.0)
    third = {"channels": 256, "rates": [8, 8, 4], "resblock": 2, "block_kernels": (3, 5, 7), "block_dilations": [[1, 2], [2, 6], [3, 12]]}
    assert millions("hifigan", 80, features) == pytest.approx(13.92, abs=0.02)
    assert millions("hifigan", 80, features, channels=128) == pytest.approx(0.92, abs=0.01)
    assert millions("hifigan", 80, features, **third) == pytest.approx(1.46, abs=0.01)
    layer = (3 * 64 + 80) * 128 + 128 + 2 * (64 * 64 + 64)  # taps and condition to gates; residual and skip
    ends = 2 * 64 + (64 * 64 + 64) + (64 + 1) + 80 * 80 * 5 + 4 * 9  # first, hidden, last; over frames, smoothing
    assert millions("parallel_wavegan", 80, features) == pytest.approx((30 * layer - 64 * 64 - 64 + ends) / 1e6)
    assert millions("vocos", 100, features) == pytest.approx(13.5, abs=0.1)


@pytest.mark.parametrize(
    ("name", "hop", "knobs", "message"),
    [
        ("hifigan", 275, {"rates": [8, 8, 2, 2]}, r"rates: \[8, 8, 2, 2\] make 256 but hop is 275; e.g. \[11, 5, 5\]"),
        ("hifigan", 300, {"rates": [10, 10, 4]}, r"rates: \[10, 10, 4\] make 400 but hop is 300; e.g. \[5, 5, 4, 3\]"),
        ("hifigan", 20, {"kernels": [5, 4, 1]}, "kernels: one for each of rates"),
        ("hifigan", 20, {"channels": 4}, "channels: halved 3 times, must be at least 8, got 4"),
        ("hifigan", 20, {"resblock": 3}, "resblock: 1 or 2, got 3"),
        ("hifigan", 20, {"block_kernels": (4, 5)}, "block_kernels: odd numbers"),
        ("hifigan", 20, {"block_dilations": [[1]]}, "block_dilations: a list for each"),
        ("hifigan", 20, {"criterion": "wgan"}, "criterion: of judgements, got 'wgan'; known: least_squares, hinge"),
        ("hifigan", 20, {"adversarial_from": -1}, "adversarial_from: updates before discriminators"),
        ("parallel_wavegan", 300, {"scales": [4, 4, 4, 4]}, r"scales: \[4, 4, 4, 4\] make 256 but hop is 300; e.g. \[5, 5, 4, 3\]"),
        ("parallel_wavegan", 20, {"cycles": 4}, "cycles: must divide layers = 6, got 4"),
        ("hifigan", 20, {"feature_weight": -2.0}, "adversarial_weight, feature_weight: at least 0, got 1 and -2"),
        ("parallel_wavegan", 20, {"kernel_size": 4}, "kernel_size: must be odd"),
        ("parallel_wavegan", 20, {"gate": 0}, "residual, gate, skip, aux_context: at least 1, 1, 1 and 0, got 8, 0, 8, 2"),
        ("parallel_wavegan", 20, {"dropout": 1.0}, "dropout: a probability below 1, got 1.0"),
        ("parallel_wavegan", 20, {"resolutions": [[64, 40, 32]]}, "resolutions: transform, hop and window"),
        ("vocos", 20, {"n_fft": 30}, "n_fft: must be even and at least two hops of 20, got 30; e.g. 80"),
        ("vocos", 20, {"layers": 0}, "layers: must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, hop: int, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(name, hop, **knobs)
