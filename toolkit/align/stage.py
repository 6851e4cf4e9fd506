"""Aligns a corpus and writes what others need of it: the whole of ``toolkit align``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from toolkit.align import aligners
from toolkit.align.path import Ints
from toolkit.align.results import FACTS, FILES, SPLITS, write_split
from toolkit.align.training import trained_aligner
from toolkit.config import dump
from toolkit.data import kaldi
from toolkit.data.dataset import TextMelData
from toolkit.data.extraction import check_features
from toolkit.data.stamps import fingerprints, stamp_valid, write_stamp
from toolkit.data.writing import write_json
from toolkit.errors import ConfigError, DataError
from toolkit.tasks.schema import System, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.frontend import LEXICON, TOKENS, TextFrontend
from toolkit.train.checkpoint import best_weights, fill
from toolkit.train.distributed import Processes

STAMP = ".align"
METHODS = ("attention", "monotonic")
READING = ("cleaner", "cleaner_conf", "tokenizer", "tokenizer_conf", "features")  # sections that say what symbols and frames are


@dataclass(frozen=True)
class Alignment:
    """What is to be aligned, and how.

    Args:
        data: folder with ``train/``, ``dev/``, ``eval/`` and what the text front end needs.
        out: where the results go; its folders of splits are those of ``data`` where it is the same.
        method: ``attention`` of the predictor in ``experiment``, or ``monotonic``.
    """

    system: System
    data: Path
    out: Path
    method: str
    experiment: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"--method: unknown, got {self.method!r}; known: {', '.join(METHODS)}")
        if self.method == "attention" and self.experiment is None:
            raise ConfigError("--method: attention needs a trained predictor, got no --exp; give --exp EXP, or use --method monotonic")

    @property
    def hop(self) -> float:
        """Seconds a frame."""
        return self.system.features.hop / self.system.features.sample_rate

    @property
    def outputs(self) -> list[Path]:
        """The files that are made."""
        return [self.out / FACTS, *(self.out / split / name for split in SPLITS for name in FILES)]

    def inputs(self) -> dict[str, str]:
        """Hashes of everything that the result follows from."""
        paths = [self.data / name for name in (TOKENS, LEXICON, "features.json", "stats.npz") if (self.data / name).exists()]
        for split in SPLITS:
            paths += [self.data / split / name for name in ("text", "utt2num_frames")]
            paths += sorted({kaldi.to_path(place.rpartition(":")[0]) for place in kaldi.read_map(self.data / split / "feats.scp").values()})
        values = {key: json.dumps(value) for key, value in dump(self.system).items() if key in READING} | {"method": self.method}
        if self.method == "attention":
            assert self.experiment is not None
            paths += [self.experiment / "config.yaml", self.experiment / "text2mel" / "checkpoints"]
        else:
            values["settings"] = json.dumps([dump(self.system.aligner), self.system.seed])
        return fingerprints(dict.fromkeys(paths), values)

    def standing(self) -> bool:
        """Whether the result is there and was made from just these inputs."""
        return not stamp_valid(self.out / STAMP, self.inputs())

    def run(self) -> dict[str, int]:
        """Align every split and write the results, the stamp last. Returns the number of utterances by split.

        Raises:
            DataError: features of other settings, or an utterance that cannot be aligned.
        """
        check_features(self.data / "features.json", self.system.features)
        inputs = self.inputs()
        frontend = TextFrontend.load(self.data, self.system.cleaner.build(), self.system.tokenizer.build())
        device = Processes.start(self.device).device
        scores, utterances = self._judge(frontend, inputs, device)
        found: dict[str, tuple[dict[str, Ints], dict[str, str]]] = {}
        for split in SPLITS:
            data = utterances(self.data / split)
            texts = {utterance.id: utterance.text for utterance in data.utterances}
            found[split] = aligners.align(scores, data, frontend.vocabulary, device), texts
        (self.out / STAMP).unlink(missing_ok=True)
        for split, (durations, texts) in found.items():
            write_split(self.out / split, durations, texts, frontend, self.hop)
        write_json(self.out / FACTS, {"method": self.method, "hop_seconds": self.hop})
        write_stamp(self.out / STAMP, inputs, self.outputs)
        return {split: len(durations) for split, (durations, _) in found.items()}

    def _judge(
        self, frontend: TextFrontend, inputs: Mapping[str, str], device: torch.device
    ) -> tuple[aligners.Scores, Callable[[Path], TextMelData]]:
        """What scores a batch, and what reads the utterances of a folder for it."""
        if self.method == "monotonic":
            aligner = trained_aligner(self.system, frontend, self.data, self.out / "aligner", inputs, self.device)
            return aligners.searched(aligner), lambda folder: TextMelData(folder, frontend, self.system.features.hop)
        assert self.experiment is not None
        predictor = trained_predictor(self.system, self.experiment, frontend).to(device)
        return aligners.attended(predictor), predictor.data


def trained_predictor(system: System, experiment: Path, frontend: TextFrontend) -> Text2Mel:
    """The feature predictor of an experiment, in eval mode.

    Raises:
        DataError: it reads other symbols or frames than the configuration.
    """
    task = Text2Mel.from_folder(load_system(experiment / "config.yaml"), experiment)
    ours, theirs = dump(system), dump(task.system)
    other = [key for key in READING if ours.get(key) != theirs.get(key)]
    if frontend.vocabulary.symbols != task.frontend.vocabulary.symbols:
        other.append(TOKENS)
    if other:
        raise DataError(f"{experiment}: differs from the configuration in {', '.join(other)}; use --method monotonic")
    weights, meta = best_weights(experiment / Text2Mel.name)
    fill(task, weights, meta["path"])
    return task.eval()
