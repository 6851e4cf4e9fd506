"""Extracted features -> micro-batches. Nothing here draws from hidden state: an item follows from its index and key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from toolkit.audio import wave as wave_files
from toolkit.data import kaldi
from toolkit.data.batches import Counts, TextMelBatch, WaveBatch
from toolkit.data.names import Names
from toolkit.data.store import FeatureStore
from toolkit.data.voices import Voice, Voices
from toolkit.errors import DataError
from toolkit.nn.noise import seed_of

Key = tuple[int, int, int]
TITLES = {"f0": "F0", "energy": "energy"}  # of what has a value for each frame
REMEDIES = {"durations": "run: toolkit align"} | {name: f"add {name} to extras and extract features again" for name in TITLES}


class _Utterances:
    """A data directory with features: ids in order, and the number of frames of each."""

    def __init__(self, folder: Path, features: Path | None = None) -> None:
        self.utterances = kaldi.read(folder)
        frames = kaldi.read_map(folder / "utt2num_frames")
        self.store = FeatureStore(features or folder / "feats.scp")
        missing = [u.id for u in self.utterances if u.id not in frames or u.id not in self.store]
        if missing:
            raise DataError(f"{folder}: {len(missing)} utterances have no features, such as {missing[0]}; run the feature stage again")
        self.lengths = [int(frames[u.id]) for u in self.utterances]
        self.ids = [u.id for u in self.utterances]

    def __len__(self) -> int:
        return len(self.utterances)

    def mel(self, index: int) -> NDArray[np.float32]:
        """Frames ``T x M`` of one utterance, as extracted."""
        mel = self.store.load(self.utterances[index].id)
        if len(mel) != self.lengths[index]:
            raise DataError(f"{self.utterances[index].id}: {len(mel)} frames in the features, {self.lengths[index]} in utt2num_frames")
        return mel


class TextMelData(_Utterances):
    """Utterances for the feature predictor.

    Args:
        folder: a data directory with ``feats.scp`` and ``utt2num_frames``.
        encode: text -> symbol ids with ``<eos>``.
        needs: what each utterance has beside its mel: ``durations`` (frames of each symbol), ``f0`` (Hz of each frame, 0 unvoiced),
            ``energy`` (of each frame).
        tables: the speakers and languages that the model knows, where it is conditioned on them.
        vector: values of the vector that it is conditioned on.
    """

    voices: Voices | None = None  # of a model that is conditioned on none, nobody asks

    def __init__(
        self,
        folder: Path,
        encode: Callable[[str], list[int]],
        hop: int,
        needs: Sequence[str] = (),
        tables: Mapping[str, Names] | None = None,
        vector: int | None = None,
    ) -> None:
        super().__init__(folder)
        self.hop = hop
        if tables or vector:
            self.voices = Voices(folder, self.ids, tables or {}, vector)
        self.tokens = lru_cache(maxsize=None)(lambda index: encode(self.utterances[index].text))
        for name in needs:
            if not (folder / f"{name}.scp").is_file():
                raise DataError(f"{folder}: has no {name}.scp, which this decoder is trained on; {REMEDIES[name]}")
        self.more = {name: FeatureStore(folder / f"{name}.scp") for name in needs}

    def counts(self, members: Sequence[int], key: Key) -> Counts:
        frames = sum(self.lengths[i] for i in members)
        return Counts(len(members), frames, frames * self.hop)

    def load(self, members: Sequence[int], counts: Counts, key: Key) -> TextMelBatch:
        tokens = [torch.tensor(self.tokens(i)) for i in members]
        mels = [torch.from_numpy(self.mel(i)) for i in members]
        return TextMelBatch(
            ids=[self.utterances[i].id for i in members],
            tokens=pad_sequence(tokens, batch_first=True),
            token_lengths=torch.tensor([len(t) for t in tokens]),
            mel=pad_sequence(mels, batch_first=True),
            mel_lengths=torch.tensor([len(m) for m in mels]),
            counts=counts,
            key=key,
            **{name: pad_sequence([self._beside(name, i) for i in members], batch_first=True) for name in self.more},
            **({} if self.voices is None else self.voices.tensors(members)),
        )

    def voice(self, index: int) -> Voice:
        """How an utterance is to be spoken, as far as the model asks."""
        return Voice() if self.voices is None else self.voices.voice(index)

    def _beside(self, name: str, index: int) -> Tensor:
        """Durations, F0 or energy of one utterance, as long as its symbols or frames."""
        key, frames = self.utterances[index].id, self.lengths[index]
        values = self.more[name].load(key)
        symbols = len(self.tokens(index))
        if name == "durations" and (len(values) != symbols or values.sum() != frames):
            raise DataError(
                f"{key}: durations of {len(values)} symbols and {int(values.sum())} frames, it has {symbols} and {frames}; align again"
            )
        if name in TITLES and len(values) != frames:
            raise DataError(f"{key}: {TITLES[name]} of {len(values)} frames, it has {frames}; extract features again")
        return torch.from_numpy(values).long() if name == "durations" else torch.from_numpy(values)


class WaveData(_Utterances):
    """Crops of waves with the frames that condition them.

    Args:
        folder: a data directory whose waves are exactly frames x hop samples long.
        features: scp of the conditioning frames: extracted ones, or ground-truth-aligned predictions.
        hop: samples a frame.
        crop: frames that are scored; context, lookahead: frames around them that the vocoder needs.
    """

    def __init__(self, folder: Path, features: Path, hop: int, crop: int, context: int, lookahead: int) -> None:
        super().__init__(folder, features)
        self.hop, self.crop, self.context, self.lookahead = hop, crop, context, lookahead
        self.whole = lru_cache(maxsize=512)(self._read)

    def counts(self, members: Sequence[int], key: Key) -> Counts:
        frames = sum(min(self.crop, self.lengths[i]) for i in members)
        return Counts(len(members), frames, frames * self.hop)

    def load(self, members: Sequence[int], counts: Counts, key: Key) -> WaveBatch:
        rows = [self._crop(i, seed_of(*key, place)) for place, i in enumerate(members)]
        return WaveBatch(
            ids=[self.utterances[i].id for i in members],
            condition=torch.stack([row[0] for row in rows]),
            wave=torch.stack([row[1] for row in rows]),
            first=torch.tensor([row[2] for row in rows]),
            ends=torch.tensor([row[3] for row in rows]),
            context=self.context,
            counts=counts,
            key=key,
        )

    def _read(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mel, utterance = self.mel(index), self.utterances[index]
        wave = wave_files.read(Path(utterance.wav), None)
        if len(wave) != len(mel) * self.hop:
            raise DataError(
                f"{utterance.wav}: {len(wave)} samples, its {len(mel)} frames need {len(mel) * self.hop}; extract features again"
            )
        return mel, wave

    def _crop(self, index: int, seed: int) -> tuple[Tensor, Tensor, int, int]:
        """Frames, samples, the frame of the utterance that the crop begins with, and where its samples end."""
        mel, wave = self.whole(index)
        start = seed % (max(0, len(mel) - self.crop) + 1)
        first, last = start - self.context, start + self.crop
        samples = _window(wave, first * self.hop, last * self.hop, "constant")
        frames = _window(mel, first, last + self.lookahead, "edge")
        return torch.from_numpy(frames), torch.from_numpy(samples), first, (min(last, len(mel)) - first) * self.hop


def _window(values: NDArray[np.float32], first: int, last: int, edge: Literal["constant", "edge"]) -> NDArray[np.float32]:
    """``values[first:last]``, filled with zeros or with the edge value where that leaves the array."""
    inside = values[max(0, first) : min(last, len(values))]
    pad = [(max(0, -first), last - max(first, 0) - len(inside))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(inside, pad, mode=edge)
