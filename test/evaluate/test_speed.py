"""What `toolkit bench` measures without being told: presets that are systems, from the smallest to the published one."""

import pytest

from toolkit.evaluate import speed
from toolkit.evaluate.speed import presets
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import load_system

SMALL = [
    "vocoder=vocos", "vocoder_conf={layers: 1, width: 4, hidden: 4}", "crops.frames=2", "mel2wav.batch={global: 2, micro: 2}",
    "mel2wav.discriminator={parts: {multi_period: {periods: [2], channels: [2, 2]}}}",
]  # fmt: skip


def test_the_presets_of_the_bench_are_systems_of_all_sizes() -> None:
    systems = [load_system(path) for path in presets()]
    units = [system.decoder.knobs["lstm"] for system in systems]
    assert units == sorted(units) and units[-1] == 1024


def test_a_training_is_timed_with_all_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Mel2Wav(load_system(presets()[0], SMALL))
    seen, losses = list[str](), task.losses
    monkeypatch.setattr(task, "losses", lambda batch, turn: seen.append(turn) or losses(batch, turn))
    (row,) = speed._training("mini", task, 1.0, 0.0)
    assert seen == ["discriminator", "generator"] and row["figure"] > 0


def test_a_vocoder_that_makes_all_samples_at_once_is_timed_on_two_seconds_and_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "rate", lambda run, least, share: 0.001 * len(run(least)))
    task = Mel2Wav(load_system(presets()[0], SMALL), judged=False).eval()
    sizes = list[int]()
    generate = task.vocoder.generate
    task.vocoder.generate = lambda condition, *rest: sizes.append(condition.shape[1]) or generate(condition, *rest)  # type: ignore[method-assign]
    (row,) = speed._speaking_waves("mini", task, 1, 1.0)
    assert sizes == [160] and row["path"] == "torch" and row["what"] == "mel -> wave, vocos"
