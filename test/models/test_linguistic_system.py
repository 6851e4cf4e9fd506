"""The system that conditions WaveNet on linguistic features, cut down from its preset: from text to conditions to a wave."""

from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.data.dataset import TextMelData
from toolkit.errors import ConfigError
from toolkit.infer.gta import force
from toolkit.infer.speak import predict_mels, vocode
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import TextFrontend
from toolkit.text.linguistic import COLUMN, WIDTH
from toolkit.text.vocabulary import Vocabulary

PRESET = Path(__file__).resolve().parents[2] / "recipes/ljspeech/conf/paper_wavenet_linguistic.yaml"
SMALL = [
    "features={sample_rate: 8000, hop: 20, window: 80, n_fft: 128, n_mels: 5, f_min: 60.0, f_max: 3800.0}",
    "cleaner=basic", "cleaner_conf={lower: false}",
    "decoder_conf={duration_lstm: 8, f0_layers: 4, f0_channels: 8}",
    "vocoder_conf={layers: 4, cycles: 2, residual: 8, gate: 8, skip: 8, mixtures: 2, condition: 8, scales: [4, 5]}",
]  # fmt: skip
TEXTS = ["{HH AH0 L OW1}, {W ER1 L D}.", "{Y EH1 S}!"]
DURATIONS = [[3, 2, 0, 4, 1, 0, 2, 5, 1, 1, 0, 1], [2, 6, 3, 0, 2]]


class Recordings(TextMelData):
    """Two utterances with durations and a falling melody, in memory."""

    def __init__(self, task: Text2Mel) -> None:
        self.hop, self.lengths = 20, [sum(row) for row in DURATIONS]
        self.ids = ["a", "b"]
        self.utterances = [type("U", (), {"id": key})() for key in self.ids]
        self.tokens = lambda index: task.frontend(TEXTS[index])  # type: ignore[assignment]
        self.more = {"durations": {}, "f0": {}}

    def mel(self, index: int) -> np.ndarray:
        return np.zeros((self.lengths[index], 5), np.float32)

    def _beside(self, name: str, index: int) -> torch.Tensor:
        return torch.tensor(DURATIONS[index]) if name == "durations" else torch.linspace(200.0, 100.0, self.lengths[index])


@pytest.fixture(scope="module")
def task() -> Text2Mel:
    torch.manual_seed(0)
    system = load_system(PRESET, SMALL)
    tokenizer = system.tokenizer.build()
    frontend = TextFrontend(system.cleaner.build(), tokenizer, Vocabulary.build(tokenizer.symbols(text) for text in TEXTS))
    module = Text2Mel(system, frontend.vocabulary).eval()
    module.frontend = frontend
    return module


def test_the_published_sizes() -> None:
    """WaveNet, appendix B: a frame of conditions every 5 ms. Tacotron 2, section 2.3: 30 layers, 10 logistics of targets x 127.5."""
    system = load_system(PRESET)
    assert round(system.features.hop / system.features.sample_rate * 1000, 1) == 5.0
    assert prod(system.vocoder.knobs["scales"]) == system.features.hop
    with torch.device("meta"):
        vocoder = Mel2Wav(system).vocoder
    assert vocoder.receptive_field == 6139 and vocoder.head.outputs == 30 and system.vocoder.knobs["target_scale"] == 127.5
    assert system.condition_dim == vocoder.normaliser.mean.numel() == WIDTH + 5


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("losses={mse: {}}", "losses: decoder 'linguistic' has its own, got mse; set losses: {}"),
        ("crops.input=natural", "crops.input: recordings have none of the conditions"),
        ("postnet=conv", "postnet: decoder 'linguistic' makes no spectrum to refine, got 'conv'; none"),
        ("normalise=per_bin", "normalise: decoder 'linguistic' makes no spectrum, got 'per_bin'; none"),
        ("vocoder=griffin_lim", "vocoder: decoder 'linguistic' makes no spectrum, got 'griffin_lim', which needs one"),
    ],
)
def test_what_needs_a_spectrum_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_system(PRESET, [assignment])
    assert message in str(caught.value)


def test_its_losses_are_those_of_durations_and_melody(task: Text2Mel) -> None:
    data = Recordings(task)
    counts = data.counts([0, 1], (1, 1, 0))
    losses = task.losses(data.load([0, 1], counts, (1, 1, 0)), "main")
    assert set(losses) == {"duration", "f0", "voicing"} and all(bool(value.isfinite()) for value in losses.values())


def test_ground_truth_aligned_conditions_are_those_of_the_recording(task: Text2Mel) -> None:
    forced = force(task, Recordings(task))
    assert [forced[key].mel.shape for key in "ab"] == [(20, WIDTH + 5), (13, WIDTH + 5)]
    second = forced["b"].mel
    assert np.flatnonzero(second[:, COLUMN["this.EH"]]).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.allclose(second[:, -2], np.log(np.linspace(200, 100, 13) / 150), atol=1e-5) and (second[:, -1] == 1).all()
    alone = force(task, Recordings(task), [1])["b"]
    assert np.array_equal(alone.mel, second) and alone.weights is not None
    assert alone.weights.sum(0).astype(int).tolist() == DURATIONS[1]


def test_text_becomes_conditions_and_conditions_a_wave(task: Text2Mel) -> None:
    spoken = predict_mels(task, TEXTS, [1, 2])
    assert [result.stopped_by for result in spoken] == ["stop", "stop"] and all(len(result.mel) >= 3 for result in spoken)
    again = predict_mels(task, TEXTS[1:], [2])[0]
    assert np.allclose(again.mel, spoken[1].mel, atol=1e-5)
    waves = vocode(Mel2Wav(task.system).eval(), [result.mel for result in spoken], [1, 2])
    assert [len(wave) for wave in waves] == [20 * len(result.mel) for result in spoken]
