"""What to expect of this machine: minutes an epoch, seconds of computing for a second of speech, features, for given nets.

A short set on untrained nets of the real sizes, because the time does not depend on the weights. Every figure is of the whole: a
training step with its optimiser, speaking with encoder, postnet and conditioning. ``tools/benchmarks`` has the long ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.audio.griffin_lim import griffin_lim
from toolkit.audio.mel import log_mel, stft
from toolkit.decoders.base import StopAtProbability
from toolkit.errors import ConfigError
from toolkit.infer.speak import threads_for
from toolkit.kernels import native
from toolkit.models.conditioning import Conditions
from toolkit.nn.execution import PRECISIONS, Execution, torch_threads
from toolkit.nn.noise import Noise
from toolkit.tasks.mel2wav import Mel2Wav
from toolkit.tasks.schema import System
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary
from toolkit.train.turn import Turn
from toolkit.vocoders.base import ParallelVocoder

Row = dict[str, Any]
SYMBOLS, TEXT, FRAMES = 40, 60, 150  # known symbols; length of a text and of its speech
FOLDS = 8
SIZES = ("mini", "small", "paper")
NEVER = StopAtProbability(2.0)


def measure(systems: Mapping[str, System], hours: float, threads: int, seconds: float) -> Iterator[Row]:
    """Rows ``what, net, path, figure, unit``, about ``seconds`` of measuring in all; the costliest come last.

    Args:
        hours: length of the corpus that minutes an epoch are told for.
    """
    end = time.perf_counter() + seconds
    nets = {name: (Text2Mel(system, Vocabulary.made_up(SYMBOLS)).eval(), Mel2Wav(system).eval()) for name, system in systems.items()}
    nets = dict(sorted(nets.items(), key=lambda net: sum(p.numel() for task in net[1] for p in task.parameters())))
    cases: list[Callable[[float], Iterator[Row]]] = []
    for name, (text2mel, mel2wav) in nets.items():
        cases += [lambda share, n=name, s=text2mel.system: _signal(n, s, share)]  # type: ignore[misc]
        cases += [lambda share, n=name, t=text2mel: _speaking_mels(n, t, threads, share)]  # type: ignore[misc]
        cases += [lambda share, n=name, t=mel2wav: _speaking_waves(n, t, threads, share)]  # type: ignore[misc]
    for name, tasks in nets.items():
        cases += [lambda share, n=name, t=task: _training(n, t, hours, share) for task in tasks if task.turns(0)]  # type: ignore[misc]
    for number, case in enumerate(cases):
        yield from case(max(0.0, (end - time.perf_counter()) / (len(cases) - number)))


def presets() -> list[Path]:
    """The configurations of the LJSpeech recipe that tell of all sizes, in a checkout."""
    folder = Path(__file__).parents[2] / "recipes" / "ljspeech" / "conf"
    found = [folder / f"{name}.yaml" for name in SIZES]
    if not found[0].is_file():
        raise ConfigError(f"bench: no presets in {folder}, this is no checkout; give --config FILE or --exp EXP")
    return found


def rate(run: Callable[[int], object], least: int, share: float) -> float:
    """Seconds a unit of ``run(units)``: on few units, which also packs weights and starts threads, then on as many as time allows."""

    def once(units: int) -> float:
        start = time.perf_counter()
        run(units)
        return time.perf_counter() - start

    first = once(least)
    if first > share:
        return first / least
    units = max(least, min(64 * least, int(least * share / 2 / first)))
    return once(units) / units


def _signal(name: str, system: System, share: float) -> Iterator[Row]:
    """Features and Griffin-Lim."""
    features = system.features
    wave = (0.1 * np.random.default_rng(0).standard_normal(features.sample_rate)).astype(np.float32)
    each = rate(lambda seconds: log_mel(np.tile(wave, seconds), features), 4, share / 2)
    yield {"what": "features, one process", "net": name, "path": "torch", "figure": 1 / each / 60, "unit": "hours of audio a minute"}
    each = rate(lambda seconds: griffin_lim(np.abs(stft(np.tile(wave, seconds), features)), features, 32, threads=2), 2, share / 2)
    yield {"what": "Griffin-Lim, 32 iterations", "net": name, "path": "torch", "figure": each, "unit": "RTF"}


def ways(threads: int, folds: tuple[int, ...] = (1,)) -> list[Execution]:
    """How a part can run: torch, and natively in each precision; each with these numbers of folds."""
    native_ways = [Execution(precision, threads) for precision in PRECISIONS] if native.library() else []
    return [way._replace(folds=count) for count in folds for way in (Execution("fp32", threads, native=False), *native_ways)]


@torch.inference_mode()
def _speaking_mels(name: str, task: Text2Mel, threads: int, share: float) -> Iterator[Row]:
    """Text -> mel, one utterance: encoder, decoder and postnet."""
    tokens, lengths = torch.randint(1, SYMBOLS, (1, TEXT)), torch.tensor([TEXT])
    model, reduction = task.model, task.system.reduction
    memory, mask = model.encode(tokens, lengths, Conditions(), None)
    seen: set[str] = set()
    for way in ways(threads):
        model.decoder.execution = way
        path = model.decoder.path(memory, mask)
        if path in seen:
            continue
        seen.add(path)
        with torch_threads(threads_for(model.decoder, way)):
            each = rate(
                lambda steps: model.generate(tokens, lengths, torch.tensor([steps * reduction]), NEVER, Conditions(), Noise.of_rows([1])),
                10, share / 4,
            )  # fmt: skip
        yield {"what": "text -> mel", "net": name, "path": path, "figure": 1e3 * each / reduction, "unit": "ms a frame"}


@torch.inference_mode()
def _speaking_waves(name: str, task: Mel2Wav, threads: int, share: float) -> Iterator[Row]:
    """Mel -> wave, one utterance, conditioning included; in one piece and folded."""
    features, vocoder, width = task.system.features, task.vocoder, task.system.condition_dim
    if not vocoder.trainable:
        return
    second = features.sample_rate / features.hop
    seen: dict[str, float] = {}
    whole = isinstance(vocoder, ParallelVocoder)  # nothing to fold, and of two frames most of the work would be on those around them
    for way in ways(threads, (1,) if whole else (1, FOLDS)):
        vocoder.execution = way
        path, least = vocoder.path(), 2 if way.folds == 1 and not whole else int(2 * second)  # a short utterance is not folded
        folded = f"{path}, {way.folds} folds" if way.folds > 1 else path
        if folded in seen or seen.get(path, 0.0) * 2 / way.folds > share:
            continue
        with torch_threads(1):
            each = rate(
                lambda frames: vocoder.generate(torch.zeros(1, frames, width), torch.tensor([frames]), Noise.of_rows([1])),
                least, share / 8,
            )  # fmt: skip
        seen[folded] = each * second
        yield {"what": f"mel -> wave, {task.system.vocoder.name}", "net": name, "path": folded, "figure": each * second, "unit": "RTF"}


def _training(name: str, task: Text2Mel | Mel2Wav, hours: float, share: float) -> Iterator[Row]:
    """A micro-batch forward and backward by all turns; one optimiser step for each global batch is added in proportion."""
    rows = task.settings.batch.micro
    batch: Any = (
        task.made_up_batch(rows, TEXT, FRAMES) if isinstance(task, Text2Mel) else task.made_up_batch(rows, task.system.crops.frames)
    )
    task.train()
    turns = {kind: Turn(task.parameters_of(kind), task.settings.of(kind)) for kind in task.turns(task.settings.max_steps)}

    def step(times: int) -> None:
        for _ in range(times):
            for kind, turn in turns.items():
                losses = task.losses(batch, kind)
                turn.backward(torch.stack([value.sum() for value in losses.values()]).sum())
                turn.apply(turn.gradient_norm(), 1)

    each = rate(step, 1, share)
    frames = hours * 3600 * task.system.features.sample_rate / task.system.features.hop
    minutes = each * frames / batch.counts.frames / 60
    yield {
        "what": f"training {task.name}",
        "net": name,
        "path": "as the trainer chooses",
        "figure": minutes,
        "unit": f"minutes an epoch of {hours:g} h",
    }
    task.eval()
