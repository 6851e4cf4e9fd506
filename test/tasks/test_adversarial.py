"""Training against discriminators: turns, losses by hand, micro-batches that add up, resuming, settings."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.bin.main import main
from toolkit.data.batches import Counts, WaveBatch
from toolkit.discriminators import Discriminator, Judgement
from toolkit.errors import CheckpointError, ConfigError
from toolkit.models.adversary import Adversary
from toolkit.nn.spectral_losses import row_means
from toolkit.tasks.card import training_card
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System, load_system
from toolkit.train import checkpoint
from toolkit.train.checkpoint import Checkpoints
from toolkit.train.distributed import Processes
from toolkit.train.initial import Source, initialise
from toolkit.train.trainer import Trainer
from toolkit.train.turn import Turn
from toolkit.vocoders.base import Adversarial

MINI = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf" / "mini.yaml"
PARTS = "mel2wav.discriminator={parts: {multi_period: {periods: [2, 3], channels: [4, 4]}}, clip: 0.5}"
SCALES = "mel2wav.discriminator={parts: {multi_period: {periods: [2], channels: [4, 4]}, multi_scale: {scales: 2, width: 2}}}"
TINY = {
    "hifigan": [
        "vocoder=hifigan", "vocoder_conf={channels: 16, block_kernels: [3], block_dilations: [[1, 2]], adversarial_from: 1}", SCALES,
    ],
    "parallel_wavegan": [
        "vocoder=parallel_wavegan", "vocoder_conf={layers: 2, cycles: 1, residual: 4, gate: 4, skip: 4, adversarial_from: 1}",
        "mel2wav.discriminator={parts: {parallel_wavegan: {layers: 3, channels: 4}}}",
    ],
    "vocos": ["vocoder=vocos", "vocoder_conf={layers: 1, width: 8, hidden: 8, adversarial_from: 1}", PARTS],
}  # fmt: skip
SMALLER = ["mel2wav.batch={global: 4, micro: 2}", "mel2wav.average=0.9", "mel2wav.max_steps=4", "mel2wav.threads=1", "mel2wav.log_every=1"]


def tiny(name: str = "vocos", *assignments: str) -> System:
    return load_system(MINI, [*TINY[name], *SMALLER, "crops={frames: 3, input: natural}", *assignments])


class Crops:
    """Made-up crops, the same for the same members."""

    def __init__(self, task: Mel2Wav, size: int) -> None:
        torch.manual_seed(3)
        self.batch = task.made_up_batch(max(size, 1), 3)
        self.ids = [f"crop{k}" for k in range(size)]

    def __len__(self) -> int:
        return len(self.ids)

    def counts(self, members: Any, key: Any) -> Counts:
        return Counts(len(members), 3 * len(members), 600 * len(members))

    def load(self, members: Any, counts: Counts, key: Any) -> WaveBatch:
        rows = list(members)
        taken = {name: value[rows] for name, value in self.batch._asdict().items() if isinstance(value, Tensor)}
        return self.batch._replace(**taken, ids=[self.ids[m] for m in rows], counts=counts, key=key)


def trainer(system: System, folder: Path, dev: int = 2) -> Trainer:
    torch.manual_seed(0)
    task = Mel2Wav(system)
    return Trainer(task, Crops(task, 6), Crops(task, dev), task.settings, folder, 7, {}, Processes())


def weights(task: nn.Module, prefix: str) -> list[Tensor]:
    return [p.detach().clone() for name, p in task.named_parameters() if name.startswith(prefix)]


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_turn_moves_its_own_weights_only(name: str, tmp_path: Path) -> None:
    made = trainer(tiny(name), tmp_path)
    task, batches = made.task, [made.train.load([0, 1], Counts(4, 12, 2400), (1, 2, k)) for k in range(2)]
    assert task.turns(1) == ("generator",) and task.turns(2) == ("discriminator", "generator")
    moved = {}
    for turn in task.turns(2):
        before = {side: weights(task, side) for side in ("vocoder.", "adversary.")}
        made.task.turns = lambda step, turn=turn: (turn,)  # type: ignore[method-assign]
        made.update(2, batches)
        moved[turn] = {
            side: any(not torch.equal(a, b) for a, b in zip(old, weights(task, side), strict=True)) for side, old in before.items()
        }
    assert moved == {"discriminator": {"vocoder.": False, "adversary.": True}, "generator": {"vocoder.": True, "adversary.": False}}


def test_a_turn_leaves_no_gradient_on_the_other_side() -> None:
    task = Mel2Wav(tiny()).train()
    losses = task.losses(task.made_up_batch(), "discriminator")
    assert set(losses) == {"multi_period"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is not None for p in task.adversary.parameters()) and all(p.grad is None for p in task.vocoder.parameters())
    task.zero_grad()
    losses = task.losses(task.made_up_batch(), "generator")
    assert set(losses) == {"mel", "adversarial", "features"}
    torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is None for p in task.adversary.parameters()) and all(p.grad is not None for p in task.vocoder.parameters())
    assert task.adversary.parts["multi_period"].discriminators[0].conv_post.bias.requires_grad


def test_before_they_join_and_in_validation_only_distances_count() -> None:
    task = Mel2Wav(tiny())
    batch = task.made_up_batch()
    assert set(task.losses(batch._replace(key=(1, 1, 0)), "generator")) == {"mel"}
    assert set(task.eval().losses(batch, "generator")) == {"mel"}


class Plain(Discriminator):
    """Two nets whose judgements are known."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight, self.scale = weight, nn.Parameter(torch.tensor(2.0))

    def forward(self, wave: Tensor) -> list[Judgement]:
        return [Judgement(self.scale * wave[:, ::step], [wave[:, ::step], wave[:, :2] * step]) for step in (1, 2)]


@pytest.mark.parametrize("criterion", ["least_squares", "hinge"])
def test_losses_by_hand(criterion: str) -> None:
    adversary = Adversary({"a": Plain(1.0), "b": Plain(0.5)}, Adversarial(0, 4.0, 3.0, criterion))
    made, true = torch.tensor([[0.1, 0.4, -0.6, 0.2]]), torch.tensor([[0.3, 0.8, -0.1, 0.0]])
    one = (lambda s: (1 - s) ** 2) if criterion == "least_squares" else (lambda s: max(0.0, 1 - s))
    zero = (lambda s: s**2) if criterion == "least_squares" else (lambda s: max(0.0, 1 + s))

    def mean(law: Any, values: list[float]) -> float:
        return sum(law(2 * v) for v in values) / len(values)

    m, t = made[0].tolist(), true[0].tolist()
    own = mean(one, t) + mean(zero, m) + mean(one, t[::2]) + mean(zero, m[::2])
    found = adversary.own_losses(made, true, 2)
    assert {name: value.item() for name, value in found.items()} == pytest.approx({"a": own / 2, "b": 0.5 * own / 2})
    fool = 1.5 * (mean(one, m) + mean(one, m[::2]))
    gaps = [abs(a - b) for a, b in zip(m, t, strict=True)]
    features = 1.5 * (sum(gaps) / 4 + (gaps[0] + gaps[1]) / 2 + (gaps[0] + gaps[2]) / 2 + 2 * (gaps[0] + gaps[1]) / 2)
    theirs = adversary.vocoder_losses(made, true, 2)
    assert {name: value.item() for name, value in theirs.items()} == pytest.approx({"adversarial": 2 * fool, "features": 1.5 * features})
    assert torch.equal(row_means(torch.tensor([[1.0, 3.0]])), torch.tensor([2.0]))


@pytest.mark.parametrize("name", sorted(TINY))
@pytest.mark.parametrize("turn", ["discriminator", "generator"])
def test_micro_batches_add_up_to_the_gradient_of_the_batch(name: str, turn: str) -> None:
    """Noise is that of a micro-batch, so there is none here."""
    torch.manual_seed(0)
    task = Mel2Wav(tiny(name)).double().train()
    task.vocoder.draws = lambda noise, position, frames, like: like.new_full((len(like), frames * 200, 1), 0.1)
    crops = Crops(task, 4)
    crops.batch = crops.batch._replace(condition=crops.batch.condition.double(), wave=crops.batch.wave.double())
    gradients = []
    for split in ([[0, 1, 2, 3]], [[0], [1, 2], [3]]):
        task.zero_grad()
        for members in split:
            losses = task.losses(crops.load(members, Counts(4, 12, 2400), (1, 4, 0)), turn)
            torch.stack(list(losses.values())).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in task.parameters() if p.grad is not None]))
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-9


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_resumed_training_equals_an_undisturbed_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    monkeypatch.setattr("toolkit.train.exhibits.Exhibits._draw", lambda self, name, what: None)
    system = tiny(name, "mel2wav.save_every=1", "mel2wav.validate_every=4")
    trainer(system, tmp_path / "whole").run()
    begun = trainer(system, tmp_path / "parts")
    update = begun.update
    begun.update = lambda step, batches: update(step, batches) if step < 4 else 1 / 0  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        begun.run()
    trainer(system, tmp_path / "parts").run()
    last = [json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in ("whole", "parts")]
    assert last[0] == last[1] and last[0]["split"] == "dev"
    whole, parts = (checkpoint.load(Checkpoints(tmp_path / run).newest() or tmp_path) for run in ("whole", "parts"))
    assert set(whole.training["turns"]) == {"discriminator", "generator"}
    for one, other in ((whole.model, parts.model), (whole.average, parts.average)):
        assert one and other and all(torch.equal(one[key], other[key]) for key in one)
    for turn in whole.training["turns"]:
        one, other = (saved.training["turns"][turn]["moments"] for saved in (whole, parts))
        assert one and all(torch.equal(one[key]["exp_avg"], other[key]["exp_avg"]) for key in one)


def test_fine_tuning_begins_with_the_weights_of_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    done = trainer(tiny("vocos", "mel2wav.average=null"), tmp_path, dev=0)
    done.run()
    torch.manual_seed(5)
    tuned = Mel2Wav(tiny("vocos", "crops.input=gta"))
    initialise(tuned, [Source.parse(str(tmp_path))], "mel2wav")
    for side in ("vocoder.", "adversary."):
        assert all(torch.equal(a, b) for a, b in zip(weights(done.module, side), weights(tuned, side), strict=True))
    alone = Mel2Wav(tiny("vocos", "vocoder_conf.adversarial_from=null"))
    with pytest.raises(CheckpointError, match="no weight 'adversary."):
        initialise(alone, [Source.parse(str(tmp_path))], "mel2wav")
    initialise(alone, [Source.parse(f"{tmp_path}:vocoder:vocoder")], "mel2wav")
    assert all(torch.equal(a, b) for a, b in zip(weights(done.module, "vocoder."), weights(alone, "vocoder."), strict=True))


def test_each_turn_has_its_own_optimiser_schedule_and_clip(tmp_path: Path) -> None:
    own = "mel2wav.discriminator={optimiser: radam, optimiser_conf: {learning_rate: 5e-5}, schedule: step, clip: 0.25}"
    made = trainer(tiny("vocos", "mel2wav.clip=10", own), tmp_path)
    generator, discriminator = made.turn("generator"), made.turn("discriminator")
    assert (generator.recipe.learning_rate, discriminator.recipe.learning_rate) == (3e-3, 5e-5)
    assert (type(generator.optimiser).__name__, type(discriminator.optimiser).__name__) == ("Adam", "RAdam")
    assert (generator.settings.clip, discriminator.settings.clip) == (10.0, 0.25)
    assert type(discriminator.schedule).__name__ == "Step"
    assert all(name.startswith("vocoder.") for name in generator.named) and all(
        name.startswith("adversary.") for name in discriminator.named
    )


@pytest.mark.parametrize(
    ("assignments", "names"),
    [
        (["vocoder=hifigan"], ["multi_period", "multi_scale"]),
        (["vocoder=vocos"], ["multi_period", "multi_resolution"]),
        (["vocoder=parallel_wavegan"], ["parallel_wavegan"]),
        (["vocoder=vocos", "mel2wav.discriminator={parts: {multi_scale: {}}}"], ["multi_scale"]),
        (["vocoder=vocos", "vocoder_conf.adversarial_from=null"], []),
        (["vocoder=wavenet"], []),
        (["vocoder=griffin_lim", PARTS], []),
    ],
)
def test_which_discriminators_judge(assignments: list[str], names: list[str]) -> None:
    system = load_system(MINI, assignments)
    assert [part.name for part in system.discriminators] == names
    with torch.device("meta"):
        assert (Mel2Wav(system).adversary is not None) == bool(names)
        assert Mel2Wav(system, judged=False).adversary is None


def test_without_discriminators_there_is_one_turn() -> None:
    task = Mel2Wav(tiny("vocos", "vocoder_conf.adversarial_from=null")).train()
    assert task.turns(100) == ("main",)
    assert set(task.losses(task.made_up_batch(), "main")) == {"mel"}


def test_an_unknown_discriminator_is_refused() -> None:
    with pytest.raises(ConfigError, match="mel2wav.discriminator.parts: unknown discriminator, got 'multi_perod'; did you mean"):
        tiny("vocos", "mel2wav.discriminator={parts: {multi_perod: {}}}")


def test_check_takes_a_step_of_both_turns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen = list[tuple[str, float | None]]()
    monkeypatch.setattr(Turn, "apply", lambda self, norm, step: seen.append((next(iter(self.named)).split(".")[0], self.settings.clip)))
    settings = ("vocoder=vocos", "vocoder_conf={layers: 1, width: 8, hidden: 8, adversarial_from: 1}", PARTS, "mel2wav.clip=2")
    assert main(["check", str(MINI), *(word for setting in settings for word in ("--set", setting))]) == 0
    assert seen[1:] == [("adversary", 0.5), ("vocoder", 2.0)]
    assert "mel2wav 0.01 M parameters" in capsys.readouterr().out


def test_the_card_tells_of_both_turns() -> None:
    rows = {row.name: row.value for row in training_card(tiny("vocos", "mel2wav.max_steps=100"), "mel2wav")}
    assert "multi period" in rows["Discriminators"].replace("_", " ") and "from step 2" in rows["Discriminators"]
    assert rows["Optimiser"].startswith("Adam") and rows["Discriminator's optimiser"].startswith("Adam")
    assert "clip 0.5" in rows["Discriminator's optimiser"] and "0.003" in rows["Discriminator's learning rate"]
    assert "Discriminators" not in {row.name for row in training_card(load_system(MINI), "mel2wav")}


def test_a_trained_one_is_loaded_without_its_discriminators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.infer import load

    system = tiny()
    trained = Mel2Wav(system)
    monkeypatch.setattr(load, "best_weights", lambda folder: (copy.deepcopy(trained.state_dict()), {"path": folder}))
    task = load._trained(Mel2Wav(system, judged=False), tmp_path, "cpu")
    assert load.griffin_lim(system).adversary is None  # the same system is heard without its vocoder, too
    assert all(torch.equal(a, b) for a, b in zip(task.vocoder.parameters(), trained.vocoder.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "samples", "batch", "sides", "steps", "names"),
    [
        ("hifigan", 8192, 16, [("adamw", 2e-4), ("adamw", 2e-4)], 2_500_000, ["multi_period", "multi_scale"]),
        ("parallel_wavegan", 24_000, 8, [("radam", 1e-4), ("radam", 5e-5)], 400_000, ["parallel_wavegan"]),
        ("vocos", 16_384, 16, [("adamw", 2e-4), ("adamw", 2e-4)], 1_000_000, ["multi_period", "multi_resolution"]),
    ],
)
def test_presets_have_the_published_numbers(
    name: str, samples: int, batch: int, sides: list[tuple[str, float]], steps: int, names: list[str]
) -> None:
    system = load_system(MINI.with_name(f"{name}.yaml"))
    settings = system.mel2wav
    assert abs(system.crops.frames * system.features.hop - samples) <= system.features.hop
    assert (settings.batch.global_, settings.max_steps) == (batch, steps)
    parts = [settings.of(turn).optimiser for turn in ("generator", "discriminator")]
    assert [(part.name, part.knobs["learning_rate"]) for part in parts] == sides
    assert [part.name for part in system.discriminators] == names
    with torch.device("meta"):
        assert Mel2Wav(system).turns(1)[-1] == "generator"
