"""Which utterances are kept, and which of them train, dev and eval get."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from toolkit.data import corpus, kaldi
from toolkit.data.kaldi import Utterance
from toolkit.data.problems import examples
from toolkit.errors import DataError

FULL, HELD_OUT = 13_100, 250  # all of LJSpeech: the last 500 are dev and eval
SETS = ("train", "dev", "eval")


class Limits(Protocol):
    """What is kept; the configuration's section ``limits``."""

    @property
    def min_seconds(self) -> float: ...
    @property
    def max_seconds(self) -> float: ...
    @property
    def max_characters(self) -> int: ...


class Split(NamedTuple):
    """Ids of the three sets, in corpus order, and of what was dropped, by reason."""

    train: list[str]
    dev: list[str]
    eval: list[str]
    dropped: dict[str, list[str]]

    def table(self) -> str:
        """One line: how many were kept, what was dropped and why, where each set stands."""
        kept = sum(map(len, self[:3]))
        reasons = ", ".join(f"{reason} {len(ids)} ({examples(ids)})" for reason, ids in sorted(self.dropped.items()))
        return f"kept {kept}: train {len(self.train)}, dev {len(self.dev)}, eval {len(self.eval)}; dropped " + (
            f"{sum(map(len, self.dropped.values()))}: {reasons}" if reasons else "0"
        )


def held_out(utterances: int) -> int:
    """How many utterances dev and eval get, each.

    250 of all of LJSpeech or more, the split that the field uses; else 1.9 % rounded up, at least 15. A corpus of fewer than 45
    utterances could not spare 15 twice: a fifth of it, at least one.
    """
    if utterances >= FULL:
        return HELD_OUT
    return max(15, math.ceil(0.019 * utterances)) if utterances >= 45 else max(1, utterances // 5)


def split(
    utterances: Sequence[Utterance],
    limits: Limits,
    dev: Sequence[str] | None = None,
    eval: Sequence[str] | None = None,
    dropped: Mapping[str, str] | None = None,
) -> Split:
    """Divide utterances into train, dev and eval.

    The sets are cut from the whole corpus, the last utterances by id of each speaker, before anything is dropped: other limits
    never move an utterance from one set to another.

    Args:
        dev, eval: ids that decide instead of the rule; both or none.
        dropped: id -> reason, for what an earlier stage could not use.

    Raises:
        DataError: a set is empty; names the reasons for which utterances were dropped.
    """
    ids = sorted(u.id for u in utterances)
    if dev is None or eval is None:
        if len(ids) < 3:
            raise DataError(f"train, dev and eval need three utterances at least, got {len(ids)}")
        dev, eval = _last_of_each(utterances)
    elif set(dev) & set(eval):
        raise DataError(f"dev.list and eval.list share {len(set(dev) & set(eval))} ids: {examples(sorted(set(dev) & set(eval)))}")
    reasons = {u.id: reason for u in utterances if (reason := (dropped or {}).get(u.id) or _reason(u, limits))}
    by_reason: dict[str, list[str]] = {}
    for key in ids:
        if key in reasons:
            by_reason.setdefault(reasons[key], []).append(key)
    in_dev, in_eval, kept = set(dev), set(eval), [key for key in ids if key not in reasons]
    result = Split(
        train=[key for key in kept if key not in in_dev and key not in in_eval],
        dev=[key for key in kept if key in in_dev],
        eval=[key for key in kept if key in in_eval],
        dropped=by_reason,
    )
    empty = [name for name in SETS if not getattr(result, name)]
    if empty:
        raise DataError(f"no utterance left for {', '.join(empty)}: {result.table()}; check the section limits of the configuration")
    return result


def write_split(data: Path | str, out: Path | str, limits: Limits) -> Split:
    """Divide a directory that has ``feats.scp`` and ``utt2num_frames`` into ``out/train``, ``out/dev``, ``out/eval``.

    ``dev.list`` and ``eval.list`` in the directory decide where they exist. Utterances without features are dropped, for the
    reason that a map ``dropped`` in the directory gives.
    """
    data, out = Path(data), Path(out)
    utterances = kaldi.read(data)
    known = {u.id for u in utterances}
    features = kaldi.read_map(data / "feats.scp").keys() & kaldi.read_map(data / "utt2num_frames").keys()
    reasons = kaldi.read_map(data / "dropped") if (data / "dropped").exists() else {}
    dropped = {key: reasons.get(key, "no features") for key in known if key not in features}
    dev, held = (corpus.read_list(data / name, known) if (data / name).exists() else None for name in corpus.LISTS)
    result = split(utterances, limits, dev, held, dropped)
    for name in SETS:
        kaldi.subset(data, out / name, getattr(result, name))
    return result


def _last_of_each(utterances: Sequence[Utterance]) -> tuple[list[str], list[str]]:
    """Dev and eval: of each speaker a share as large as his in the corpus, at least one each; of one with fewer than three, none."""
    dev, held, count = list[str](), list[str](), held_out(len(utterances))
    for ids in kaldi.by_speaker({u.id: u.speaker for u in utterances}).values():
        own = min(max(1, round(count * len(ids) / len(utterances))), (len(ids) - 1) // 2)
        first = len(ids) - 2 * own
        dev, held = dev + ids[first : first + own], held + ids[first + own :]
    return dev, held


def _reason(utterance: Utterance, limits: Limits) -> str:
    if utterance.seconds < limits.min_seconds:
        return "too short"
    if utterance.seconds > limits.max_seconds:
        return "too long"
    return "too many characters" if len(utterance.text) > limits.max_characters else ""
