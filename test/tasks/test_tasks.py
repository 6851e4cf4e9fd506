"""The tasks: they assemble from a configuration, learn on made-up data, and refuse what cannot work."""

import sys
from pathlib import Path

import pytest
import torch

from toolkit.config import difference
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, TeacherForcing, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.exhibits import Exhibits

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
TINY = [
    "encoder_conf={embedding: 8, channels: 8, lstm: 8, dropout: 0.0}", "attention_conf={dim: 8, filters: 4, kernel_size: 5}",
    "decoder_conf={prenet: [8, 8], lstm: 8}", "postnet_conf={channels: 8, dropout: 0.0}",
    "vocoder_conf={layers: 4, cycles: 2, residual: 8, gate: 8, skip: 8}",
]  # fmt: skip


def tiny(*assignments: str) -> System:
    return load_system(MINI, [*TINY, *assignments])


@pytest.mark.parametrize("task", ["text2mel", "mel2wav"])
def test_a_few_steps_on_one_batch_lower_the_loss(task: str) -> None:
    torch.manual_seed(0)
    module = Text2Mel(tiny(), Vocabulary.made_up(12)) if task == "text2mel" else Mel2Wav(tiny())
    batch = module.made_up_batch()
    optimiser = torch.optim.Adam(module.parameters_of("main"), 1e-2)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = torch.stack(list(module.losses(batch, "main").values())).sum()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.95 * values[0]


def test_losses_of_text2mel_are_those_of_the_configuration_with_their_weights() -> None:
    torch.manual_seed(0)
    module = Text2Mel(tiny("losses.guided_attention.weight=0"), Vocabulary.made_up(12)).eval()
    batch = module.made_up_batch()
    assert set(module.losses(batch, "main")) == {"mse", "mae", "stop"}
    torch.manual_seed(0)
    heavier = Text2Mel(tiny("losses.guided_attention.weight=0", "losses.stop.weight=3"), Vocabulary.made_up(12)).eval()
    assert heavier.losses(batch, "main")["stop"].item() == pytest.approx(3 * module.losses(batch, "main")["stop"].item())


def test_training_noise_follows_from_the_batchs_key() -> None:
    module = Text2Mel(tiny(), Vocabulary.made_up(12))
    batch = module.made_up_batch()
    first, again = (module.losses(batch, "main")["mse"].item() for _ in range(2))
    other = module.losses(batch._replace(key=(1, 0, 1)), "main")["mse"].item()
    assert first == again != other


def test_the_share_of_true_frames_falls_along_a_line() -> None:
    forcing = TeacherForcing(start=0.9, end=0.5, from_step=10, to_step=30)
    assert [forcing.share(step) for step in (0, 10, 15, 20, 30, 99)] == pytest.approx([0.9, 0.9, 0.8, 0.7, 0.5, 0.5])


@pytest.mark.parametrize("decoder", ["tacotron2", "tacotron1"])
def test_the_teacher_leaves_as_scheduled_and_validation_keeps_it(decoder: str) -> None:
    always, scheduled = [], []
    knobs = "decoder_conf={prenet: [8, 8]}"
    for given, found in ((["teacher_forcing=null"], always), (["teacher_forcing={end: 0.0, from_step: 1, to_step: 2}"], scheduled)):
        torch.manual_seed(0)
        task = Text2Mel(load_system(MINI, [*TINY, f"decoder={decoder}", knobs, *given]), Vocabulary.made_up(12))
        torch._foreach_mul_([parameter.data for parameter in task.model.decoder.parameters()], 3.0)  # so that frames matter
        batch = task.made_up_batch(frames=12)
        for step, training in ((1, True), (2, True), (2, True), (2, False)):
            torch.manual_seed(0)
            found.append(float(task.train(training).losses(batch._replace(key=(1, step, 0)), "main")["mse"].detach()))
    assert scheduled[0] == always[0] and scheduled[3] == always[3]  # exactly the same
    assert scheduled[1] != pytest.approx(always[1], rel=1e-4) and scheduled[1] == scheduled[2]


def test_what_an_older_configuration_lacks_does_not_change_its_identity() -> None:
    """A run that was begun before there were these options goes on."""
    identity = Text2Mel.identity(tiny())
    new = ("teacher_forcing", "patience", "freeze")
    older = {key: {k: v for k, v in value.items() if k not in new} if key == "text2mel" else value for key, value in identity.items()}
    older.pop("teacher_forcing")
    assert difference(older, identity) == []
    assert difference(identity, Text2Mel.identity(tiny("text2mel.freeze=[encoder]"))) == ["text2mel.freeze: None -> ['encoder']"]
    assert "teacher_forcing" in difference(identity, Text2Mel.identity(tiny("teacher_forcing.end=0.7")))[0]


def test_length_is_bounded_by_the_text() -> None:
    module = Text2Mel(tiny("synthesis.stop_threshold=2.0", "synthesis.frames_per_symbol=3"), Vocabulary.made_up(12)).eval()
    prediction = module.generate(torch.tensor([[3, 4, 1], [5, 1, 0]]), torch.tensor([3, 2]), Noise.of_rows([1, 2]))
    assert prediction.output.lengths.tolist() == [89, 86]  # 3 frames a symbol and a second of 80 frames
    assert prediction.output.stopped_by == ["limit", "limit"]


def test_an_observation_has_numbers_and_pictures() -> None:
    pytest.importorskip("matplotlib")
    module = Text2Mel(tiny(), Vocabulary.made_up(12)).eval()
    seen = module.observe(module.made_up_batch())
    assert {"focus", "diagonality"} <= set(seen.numbers) and 0 < seen.numbers["focus"] <= 1
    assert all(image.ndim == 3 and image.shape[2] == 3 for image in (draw() for draw in seen.images.values()))
    wave, rate = seen.audio["free_running"]
    assert rate == 16000 and len(wave) == seen.numbers["free_running_frames"] * 200
    assert {"alignment_forced", "alignment_free", "mel", "stop"} == set(seen.images)


def test_a_validation_goes_on_where_nothing_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core alone trains: pictures are left out with one line, sound and numbers stay."""
    for name in ("matplotlib", "matplotlib.figure", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    said: list[str] = []
    module = Text2Mel(tiny(), Vocabulary.made_up(12)).eval()
    with Exhibits(tmp_path, 0, said.append) as exhibits:
        exhibits.show(1, module.observe(module.made_up_batch()), [{"split": "dev", "step": 1, "loss": 2.0}])
    assert [line.partition(":")[0] for line in said] == ["no TensorBoard files", "no pictures"]
    assert [path.name for path in tmp_path.rglob("*.*")] == ["free_running-00000001.wav"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("normalise=mean", "normalise: unknown, got 'mean'; known: none, per_bin"),
        ("reduction=0", "reduction: frames a step emits, must be at least 1, got 0"),
        ("teacher_forcing.end=1.5", "teacher_forcing.end: share of true frames, must be within 0 and 1, got 1.5"),
        ("teacher_forcing.to_step=5", "teacher_forcing.to_step: must be above from_step of 10000, got 5"),
        ("text2mel.freeze=encoder", "text2mel.freeze: "),
        ("text2mel.patience=0", "text2mel.patience: validations without a lower loss, must be at least 1, got 0"),
        ("crops.input=gt", "crops.input: what the vocoder is trained on, got 'gt'; known: gta, natural"),
        ("text2mel.batch.micro=5", "text2mel.batch.micro: must divide the global batch of 16, got 5"),
        ("text2mel.precision=fp8", "text2mel.precision: unknown, got 'fp8'"),
        ("losses={stop: {}}", "losses: none of them compares frames"),
        ("attention=locaton_sensitive", "attention: unknown attention, got 'locaton_sensitive'; did you mean 'location_sensitive'?"),
        ("text2mel.max_step=3", "text2mel.max_step: no such key, got 3; did you mean 'max_steps'?"),
        ("features.hop=100.5", "features.hop: "),
    ],
)
def test_mistakes_in_a_configuration_are_refused_by_path(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_system(MINI, ["losses=null", assignment] if assignment.startswith("losses") else [assignment])
    assert message in str(caught.value)


def test_griffin_lim_is_not_trained() -> None:
    task = Mel2Wav(load_system(MINI, ["vocoder=griffin_lim"]))
    with pytest.raises(ConfigError, match="is signal processing and is not trained"):
        task.data(Path("nowhere"))
