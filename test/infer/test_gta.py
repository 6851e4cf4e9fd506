"""Ground-truth-aligned mels: as long as the recording, independent of the batch, and close to free running's own rules."""

from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.data.dataset import TextMelData
from toolkit.infer.gta import force
from toolkit.infer.speak import predict_mels, vocode
from toolkit.nn.noise import utterance_seed
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import TextFrontend
from toolkit.text.vocabulary import Vocabulary

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, dropout: 0.0}", "vocoder=griffin_lim",
    "vocoder_conf={iterations: 3}", "synthesis.frames_per_symbol=2",
]  # fmt: skip
TEXTS = ["one two", "three", "it is ten past six", "zero"]


class MadeUpData(TextMelData):
    """Random mels of odd lengths; only what ``forced_mels`` asks for."""

    def __init__(self, frames: list[int], task: Text2Mel) -> None:
        self.hop, self.lengths, self.more = 200, frames, {}
        self.ids = [f"u{i}" for i in range(len(frames))]
        self.utterances = [type("U", (), {"id": key})() for key in self.ids]
        self.tokens = lambda index: task.frontend(TEXTS[index])  # type: ignore[assignment]

    def mel(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).normal(size=(self.lengths[index], 80)).astype(np.float32)


@pytest.fixture(scope="module")
def task() -> Text2Mel:
    torch.manual_seed(0)
    system = load_system(MINI, TINY)
    frontend = TextFrontend(system.cleaner.build(), system.tokenizer.build(), Vocabulary.build([list(text) for text in TEXTS]))
    module = Text2Mel(system, frontend.vocabulary).eval()
    module.frontend = frontend
    return module


def test_gta_mels_have_the_true_length_for_every_reduction_remainder(task: Text2Mel) -> None:
    frames = [8, 9, 10, 11]  # r is 4: the last group is cut in three of them
    mels = {key: forced.mel for key, forced in force(task, MadeUpData(frames, task)).items()}
    assert [len(mels[f"u{i}"]) for i in range(4)] == frames
    assert all(np.isfinite(mel).all() for mel in mels.values())


def test_gta_mels_do_not_depend_on_the_batch(task: Text2Mel) -> None:
    whole = force(task, MadeUpData([8, 9, 10, 11], task))
    alone = force(task, MadeUpData([8, 9, 10, 11], task), [0])
    assert set(alone) == {"u0"} and np.abs(whole["u0"].mel - alone["u0"].mel).max() < 1e-4


def test_gta_frame_t_sees_true_frames_before_its_group_only(task: Text2Mel, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MadeUpData([12], task)
    before = force(task, data)["u0"].mel
    changed = MadeUpData([12], task)
    monkeypatch.setattr(changed, "mel", lambda index: data.mel(index) + (np.arange(12) >= 8)[:, None].astype(np.float32))
    after = force(task, changed)["u0"].mel
    assert np.array_equal(before, after)  # frames 8-11 are the last group: nobody is fed them
    monkeypatch.setattr(changed, "mel", lambda index: data.mel(index) + (np.arange(12) >= 7)[:, None].astype(np.float32))
    assert not np.array_equal(before, force(task, changed)["u0"].mel)


def test_gta_uses_the_attentions_synthesis_form(task: Text2Mel, monkeypatch: pytest.MonkeyPatch) -> None:
    attention = task.model.decoder.attention
    start, forms = attention.start, []
    monkeypatch.setattr(attention, "start", lambda memory, mask, noise, hard=False: forms.append(hard) or start(memory, mask, noise, hard))
    force(task, MadeUpData([8], task))
    predict_mels(task, TEXTS[:1], [1])
    assert forms == [True, True]


def test_speech_follows_from_text_and_seed_not_from_the_batch(task: Text2Mel) -> None:
    seeds = [utterance_seed(1, key) for key in "abcd"]
    together = predict_mels(task, TEXTS, seeds)
    alone = predict_mels(task, TEXTS[2:3], seeds[2:3])[0]
    assert len(alone.mel) == len(together[2].mel) and np.abs(alone.mel - together[2].mel).max() < 1e-3
    assert [spoken.symbols[-1] for spoken in together] == ["<eos>"] * 4
    other = predict_mels(task, TEXTS[2:3], [5])[0]
    assert not np.array_equal(other.mel, alone.mel)  # prenet dropout is drawn at synthesis


def test_waves_are_frames_times_hop_long(task: Text2Mel) -> None:
    mels = [np.full((frames, 80), -3.0, np.float32) for frames in (5, 9)]
    waves = vocode(Mel2Wav(task.system).eval(), mels, [1, 2])
    assert [len(wave) for wave in waves] == [1000, 1800]
