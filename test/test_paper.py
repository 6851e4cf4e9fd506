"""The numbers of Tacotron 2 (Shen et al. 2018, arXiv 1712.05884) in the presets and in the objects that they build."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from toolkit.audio.mel import MelSettings
from toolkit.bin.main import main
from toolkit.nn.mixture_of_logistics import log_likelihood
from toolkit.nn.noise import Noise
from toolkit.nn.upsampling import hold_edges
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.turn import Turn
from toolkit.vocoders.wavenet import WaveNet
from toolkit.vocoders.wavenet_generation import Generation

CONF = Path(__file__).resolve().parents[1] / "recipes/ljspeech/conf"
PAPER, AT_24_KHZ = CONF / "paper.yaml", CONF / "paper_24k.yaml"
SCALE = 127.5
HOP, BANDS = 20, 5
FEATURES = MelSettings(sample_rate=8000, hop=HOP, window=80, n_fft=256, n_mels=BANDS, f_min=0.0, f_max=4000.0)


def predictor(*assignments: str) -> Text2Mel:
    with torch.device("meta"):
        return Text2Mel(load_system(PAPER, assignments), Vocabulary.made_up(70))


@pytest.mark.parametrize(("wiring", "millions"), [("paper", 26.06), ("nvidia", 28.15), ("espnet", 26.06)])
def test_parameters_of_the_wirings(wiring: str, millions: float) -> None:
    """Section 2.2; the feature predictor with its postnet and 70 symbols. The often quoted 28.2 M are those of the wiring nvidia."""
    task = predictor(f"decoder_conf.wiring={wiring}")
    assert round(sum(parameter.numel() for parameter in task.parameters()) / 1e6, 2) == millions


def test_parameters_by_hand() -> None:
    """Section 2.2, layer by layer: a convolution has a bias and two numbers a channel of batch norm, an LSTM two biases a gate."""

    def conv(inputs: int, outputs: int) -> int:
        return 5 * inputs * outputs + 3 * outputs

    def lstm(inputs: int, units: int) -> int:
        return 4 * units * (inputs + units + 2)

    encoder = 70 * 512 + 3 * conv(512, 512) + 2 * lstm(512, 256)
    attention = 1024 * 128 + 512 * 128 + 128 + 32 * 31 + 32 * 128 + 128
    decoder = 80 * 256 + 256 + 256 * 256 + 256 + attention + lstm(256 + 512, 1024) + lstm(1024, 1024) + (1024 + 512 + 1) * 81
    postnet = conv(80, 512) + 3 * conv(512, 512) + conv(512, 80)
    model = predictor().model
    parts = (model.encoder, model.decoder, model.postnet)
    assert [sum(p.numel() for p in part.parameters()) for part in parts] == [encoder, decoder, postnet]


@pytest.mark.parametrize(("layers", "cycles", "samples"), [(30, 3, 6139), (24, 4, 505), (12, 2, 253), (30, 30, 61)])
def test_receptive_fields(layers: int, cycles: int, samples: int) -> None:
    """Section 3.3.4, table 4. They follow for kernels of 3 taps only, so that is what the kernel size is."""
    with torch.device("meta"):
        assignments = [f"vocoder_conf.layers={layers}", f"vocoder_conf.cycles={cycles}"]
        assert Mel2Wav(load_system(PAPER, assignments)).vocoder.receptive_field == samples


@pytest.mark.parametrize(("step", "rate"), [(0, 1e-3), (50_000, 1e-3), (100_000, 1e-4), (150_000, 1e-5), (200_000, 1e-5)])
def test_learning_rate_of_the_predictor(step: int, rate: float) -> None:
    """Section 3.1: 1e-3 decaying exponentially to 1e-5 from step 50,000 on; that it takes 100,000 steps is our choice."""
    task = predictor()
    assert Turn(task.parameters_of("main"), task.settings).learning_rate(step) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("step", [0, 1, 100_000, 499_999])
def test_learning_rate_of_the_vocoder(step: int) -> None:
    """Section 3.1: fixed at 1e-4; Adam with 0.9, 0.999 and 1e-8."""
    with torch.device("meta"):
        task = Mel2Wav(load_system(PAPER))
    turn = Turn(task.parameters_of("main"), task.settings)
    assert turn.learning_rate(step) == 1e-4
    assert [(g["betas"], g["eps"], g["weight_decay"]) for g in turn.optimiser.param_groups][0] == ((0.9, 0.999), 1e-8, 0.0)


def test_what_l2_takes_and_what_it_leaves_out() -> None:
    """Section 3.1: L2 of weight 1e-6. The paper does not say of what; ours leaves out biases and batch norm, and nothing else."""
    task = predictor()
    optimiser = Turn(task.parameters_of("main"), task.settings).optimiser
    names = {parameter: name for name, parameter in task.named_parameters()}
    taken, left_out = ([names[p] for p in group["params"]] for group in optimiser.param_groups)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [1e-6, 0.0]
    assert sorted(taken + left_out) == sorted(names.values())
    assert all(re.search(r"(^|\.)(norm\.weight|bias\w*)$", name) for name in left_out)
    assert all(names_shape(task, name) == 1 for name in left_out) and all(names_shape(task, name) > 1 for name in taken)
    ours = [name.removeprefix("model.") for name in taken]
    assert ours == [
        "encoder.embedding.weight", *(f"encoder.convolutions.{i}.conv.weight" for i in range(3)),
        "encoder.lstm.weight_ih_l0", "encoder.lstm.weight_hh_l0", "encoder.lstm.weight_ih_l0_reverse", "encoder.lstm.weight_hh_l0_reverse",
        "decoder.prenet.layers.0.weight", "decoder.prenet.layers.1.weight",
        *(f"decoder.attention.energies.{part}.weight" for part in ("query", "key", "filters", "location", "energy")),
        *(f"decoder.{cell}.weight_{side}" for cell in ("first", "second") for side in ("ih", "hh")),
        "decoder.frames.weight", "decoder.stop.weight", *(f"postnet.convolutions.{i}.conv.weight" for i in range(5)),
    ]  # fmt: skip


def names_shape(task: Text2Mel, name: str) -> int:
    return task.get_parameter(name).dim()


@pytest.mark.parametrize("preset", sorted(CONF.glob("paper*.yaml")), ids=lambda path: path.stem)
def test_a_preset_keeps_its_frames_whole(preset: Path) -> None:
    """Section 2.2: 12.5 ms (or 5 ms, the original WaveNet's) and 50 ms, in whole samples; two layers of upsampling make the hop."""
    system = load_system(preset)
    mel = system.features
    assert abs(mel.hop / mel.sample_rate - 0.0125) < 5e-5 or abs(mel.hop / mel.sample_rate - 0.005) < 5e-5
    assert abs(mel.window / mel.sample_rate - 0.05) < 2e-4
    if system.vocoder.name == "wavenet":
        assert len(system.vocoder.knobs["scales"]) == 2 and math.prod(system.vocoder.knobs["scales"]) == mel.hop


@pytest.mark.parametrize("preset", [PAPER, AT_24_KHZ], ids=lambda path: path.stem)
def test_the_presets_take_a_step(preset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(preset)]) == 0
    assert "text2mel 26.04 M parameters, mel2wav 5.0" in capsys.readouterr().out


def test_scaled_targets_have_the_likelihood_of_unscaled_ones() -> None:
    """Section 3.1, targets x 127.5: with mu' = 127.5 mu, ln s' = ln s + ln 127.5 and half-bin 127.5 / 65535 a bin has the same mass."""
    draw = torch.Generator().manual_seed(0)
    mixture = torch.randn(200, 30, generator=draw, dtype=torch.float64)
    mixture[:, 20:] = 4 * mixture[:, 20:] - 5  # log-scales from about 1e-6 to 1
    target = (torch.rand(200, generator=draw, dtype=torch.float64) * 65535).round() / 32767.5 - 1
    logits, means, log_scales = mixture.chunk(3, -1)
    scaled = torch.cat([logits, SCALE * means, log_scales + math.log(SCALE)], -1)
    plain = log_likelihood(mixture, target, 1 / 65535, -16.0)
    torch.testing.assert_close(log_likelihood(scaled, SCALE * target, SCALE / 65535, -16.0 + math.log(SCALE)), plain, rtol=0, atol=1e-6)
    assert plain.std() > 1.0


def pair() -> tuple[WaveNet, WaveNet]:
    """A net with scaled targets, and one without whose last layer gives the means and scales that mean the same."""
    nets = []
    for scale in (SCALE, 1.0):
        torch.manual_seed(0)
        nets.append(WaveNet(BANDS, HOP, FEATURES, layers=4, cycles=2, residual=6, gate=6, skip=6, mixtures=3, condition=4,
                            scales=[4, 5], target_scale=scale).double().eval())  # fmt: skip
        with torch.no_grad():
            for parameter in nets[-1].stack.parameters():
                parameter.mul_(1.5)
            nets[-1].stack.last.bias[3:6] = 30 * torch.linspace(-1, 1, 3)
    scaled, plain = nets
    with torch.no_grad():
        plain.stack.last.weight[3:6] /= SCALE
        plain.stack.last.bias[3:6] /= SCALE
        plain.stack.last.bias[6:] -= math.log(SCALE)
    return scaled, plain


def frames() -> Tensor:
    return torch.randn(2, 6, BANDS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 3


def test_wavenets_loss_is_the_same_with_scaled_targets() -> None:
    """Section 3.1; the whole path from wave to nats, with the open bins at both ends of the 16-bit range."""
    wave = torch.rand(2, 6 * HOP, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1
    wave[0, :20], wave[1, -20:] = -1.0, 1.0 - 2.0**-15
    scaled, plain = (net.log_likelihood(frames(), wave, torch.tensor([6, 6])) for net in pair())
    torch.testing.assert_close(scaled, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("noise", [None, Noise.of_rows([1, 2])], ids=["most_probable", "sampled"])
def test_a_sample_is_divided_by_the_scale_before_it_is_fed_back(noise: Noise | None) -> None:
    """Section 3.1: what the net predicts is 127.5 times the sample. Fed back undivided, the second sample would differ already."""
    lengths, waves = torch.tensor([6, 6]), []
    for net in pair():
        with torch.inference_mode():
            held = hold_edges(frames(), torch.zeros(2, dtype=torch.int64), lengths, net.before, net.lookahead)
            waves.append(Generation(net, 2, noise).speak(held))
            fed_back = net.predict(frames(), waves[-1], lengths)  # the mixtures that follow from this wave, in [-1, 1], as the past
        if noise is None:
            component = fed_back[..., :3].argmax(-1, keepdim=True)
            mean = fed_back[..., 3:6].gather(-1, component)[..., 0] * net.shift(frames()).gain
            torch.testing.assert_close(waves[-1], mean.clamp(-1, 1 - 2.0**-15), rtol=0, atol=1e-9)
    torch.testing.assert_close(waves[0], waves[1], rtol=0, atol=1e-9)
    assert 0.1 < waves[0].abs().max() < 1.0  # not clamped, as 127.5 times as much would be
