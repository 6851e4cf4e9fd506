"""Gradual reduction: frames a decoder step emits follow from the step, in training, validation and after resuming."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.data.batches import Counts, TextMelBatch
from toolkit.decoders.base import Output, StopAtProbability, Targets
from toolkit.errors import ConfigError
from toolkit.nn.execution import Execution
from toolkit.nn.noise import Noise
from toolkit.tasks.card import training_card
from toolkit.tasks.gradual_reduction import GradualReduction
from toolkit.tasks.schema import System, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.checkpoint import best_weights
from toolkit.train.distributed import Processes
from toolkit.train.trainer import Trainer
from toolkit.train.validation import Validation, evaluating

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, dropout: 0.0}", "reduction=2",
    "text2mel.batch={global: 2, micro: 1}", "text2mel.average=null", "text2mel.schedule=constant", "text2mel.schedule_conf=null",
    "text2mel.log_every=1", "text2mel.save_every=99",
]  # fmt: skip
GRADUAL = "gradual_reduction={frames: [4, 3], until: [1, 2]}"
ATTENDS = "decoder_conf={units: 8, heads: 2, layers: 1, feed_forward: 8, prenet: [8, 8]}"
DECODERS = {
    "tacotron2": ["decoder_conf={prenet: [8, 8], lstm: 8, wiring: paper}"],
    "tacotron1": ["decoder=tacotron1", "decoder_conf={prenet: [8, 8], units: 8}"],
    "transformer": ["attention=null", "decoder=transformer", ATTENDS],
}


def tiny(*assignments: str) -> System:
    return load_system(MINI, [*TINY, *assignments])


def task(*assignments: str) -> Text2Mel:
    torch.manual_seed(0)
    return Text2Mel(tiny(*assignments), Vocabulary.made_up(12))


class Texts:
    """Made-up utterances, the same for the same members."""

    def __init__(self, module: Text2Mel, size: int) -> None:
        torch.manual_seed(3)
        self.batch = module.made_up_batch(max(size, 1), 7, 30)
        self.ids = [f"text{k}" for k in range(size)]

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, members: Any, key: Any) -> Counts:
        return Counts(len(members), 30 * len(members), 0)

    def load(self, members: Any, counts: Counts, key: Any) -> TextMelBatch:
        rows = list(members)
        taken = {name: value[rows] for name, value in self.batch._asdict().items() if isinstance(value, Tensor)}
        return self.batch._replace(**taken, ids=[self.ids[m] for m in rows], counts=counts, key=key)


def train(folder: Path, steps: int, *assignments: str) -> list[dict[str, Any]]:
    """The rows of the log of a training up to a step; it goes on where one before it ended."""
    module = task(GRADUAL, f"text2mel.max_steps={steps}", *assignments)
    Trainer(module, Texts(module, 4), Texts(module, 0), module.settings, folder, 7, {}, Processes()).run()
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_frames_of_a_step_follow_from_the_update() -> None:
    gradual = GradualReduction((7, 5), (10, 100))
    assert [gradual.at(step, 2) for step in (0, 1, 10, 11, 100, 101, 999)] == [7, 7, 7, 5, 5, 2, 2]
    system = tiny(GRADUAL)
    assert [system.reduction_at(step) for step in range(1, 5)] == [4, 3, 2, 2]
    assert tiny().reduction_at(1) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{frames: [3, 4], until: [1, 2]}", "gradual_reduction.frames: each fewer than those before, got [3, 4]"),
        ("{frames: [4, 4], until: [1, 2]}", "gradual_reduction.frames: each fewer than those before, got [4, 4]"),
        ("{frames: [4, 2], until: [1, 2]}", "gradual_reduction.frames: must be above reduction of 2, got [4, 2]"),
        ("{frames: [4, 3], until: [5]}", "gradual_reduction.until: an update for each of frames [4, 3], got [5]"),
        ("{frames: [], until: []}", "gradual_reduction.until: an update for each of frames [], got []"),
        ("{frames: [4, 3], until: [5, 5]}", "gradual_reduction.until: updates in rising order, from 1 on, got [5, 5]"),
        ("{frames: [4, 3], until: [0, 5]}", "gradual_reduction.until: updates in rising order, from 1 on, got [0, 5]"),
    ],
)
def test_nonsense_is_refused(given: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(f"gradual_reduction={given}")
    assert message in str(caught.value)


def test_a_decoder_that_makes_every_frame_has_no_use_for_it() -> None:
    with pytest.raises(ConfigError, match="gradual_reduction: decoder 'non_attentive' makes every frame; set gradual_reduction: null"):
        tiny("attention=null", "decoder=non_attentive", "decoder_conf=null", "reduction=1", "gradual_reduction={frames: [2], until: [1]}")


def of_two(module: Text2Mel, name: str) -> Text2Mel:
    """A task that was built for two frames a step, with the weights that ``module`` uses for them."""
    other = task(*DECODERS[name])
    rows = 2 * module.model.decoder.n_mels
    other.load_state_dict({
        key: value[:rows] if key.startswith("model.decoder.frames.") else value for key, value in module.state_dict().items()
    })  # fmt: skip
    return other


@pytest.mark.parametrize("name", DECODERS)
def test_fewer_frames_are_a_decoder_that_was_built_for_them(name: str) -> None:
    module = task(*DECODERS[name], GRADUAL)
    assert module.model.decoder.frames.weight.shape[0] == 4 * 80 and module.model.decoder.reduction == 2
    other, batch = of_two(module, name), module.made_up_batch(frames=30)
    for step in (3, 99):
        module.begin(step)
        mine, its = (each.eval().losses(batch, "main") for each in (module, other))
        assert {key: value.item() for key, value in mine.items()} == pytest.approx({key: value.item() for key, value in its.items()})
    module.begin(2)
    assert module.losses(batch, "main")["mse"].item() != pytest.approx(mine["mse"].item(), rel=1e-4)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", DECODERS)
def test_synthesis_has_the_last_number_of_frames(name: str, native: bool) -> None:
    module = task(*DECODERS[name], GRADUAL).eval()
    other = of_two(module, name).eval()
    memory, mask, limit = torch.randn(1, 5, 8), torch.zeros(1, 5, dtype=torch.bool), torch.tensor([11])

    def speak(each: Text2Mel) -> Output:
        each.model.decoder.execution = Execution(native=native)
        with torch.no_grad():
            return each.model.decoder.generate(memory, mask, limit, StopAtProbability(2.0), Noise.of_rows([1]))

    made, wanted = speak(module), speak(other)
    torch.testing.assert_close(made.mel, wanted.mel, rtol=0, atol=1e-5)
    assert made.mel.shape[1] == 12 and made.stop_logits.shape == (1, 6)
    module.begin(1)
    early = speak(module)  # a kernel that was packed for two frames a step is not taken for four
    assert early.mel.shape == (1, 12, 80) and early.stop_logits.shape == (1, 3)
    with torch.no_grad():
        forced = module.model.decoder(memory, mask, Targets(made.mel[:, :11], limit), None)
    assert forced.mel.shape == (1, 11, 80) and forced.stop_logits.shape == (1, 3)


def test_a_resumed_training_goes_on_with_the_same_frames_and_logs_them(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 3)
    assert [row["reduction"] for row in whole] == [4, 3, 2]
    train(tmp_path / "parts", 1)
    parts = train(tmp_path / "parts", 3)
    one, other = (best_weights(tmp_path / name)[0] for name in ("whole", "parts"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert [row["reduction"] for row in parts] == [4, 3, 2] and [row["loss"] for row in parts] == [row["loss"] for row in whole]
    assert task().begin(1) == {}


def test_validation_has_the_frames_of_the_update_before_it() -> None:
    module = task(GRADUAL)
    validation = Validation(module, Texts(module, 2), module.settings, 7, Processes())
    with evaluating(module, None):
        seen = [validation.losses(step)["stop"] for step in (1, 2, 3, 3, 1)]
        assert seen[2] == seen[3] and seen[0] == seen[4] and len(set(seen)) == 3
        validation.losses(2)
        alignment = module.predict(module.made_up_batch(frames=30), None)[0].output.weights
    assert alignment is not None and alignment.shape[1] == 10


def test_the_card_has_a_row_of_it() -> None:
    rows = {row.name: row.value for row in training_card(tiny(GRADUAL), "text2mel")}
    expected = "4 frames a step until update 1, 3 frames a step until update 2, then 2; fewer are the first of 4"
    assert rows["Gradual reduction"] == expected and rows["Frames a step"] == "2"
    assert "Gradual reduction" not in {row.name for row in training_card(tiny(), "text2mel")}
