"""The part of the report that is listened to: for each sentence the recording and its syntheses side by side."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolkit.evaluate.material import SYSTEMS, Experiment, Utterance
from toolkit.evaluate.metrics import UtteranceAudio
from toolkit.evaluate.page import details, escape, flac, picture, player
from toolkit.evaluate.results import titles
from toolkit.evaluate.scoring import RECORDING, Scores, columns, load
from toolkit.train import pictures

MAX_UTTERANCES = 12
SOUND_BYTES = 4_200_000  # of FLAC in the page; base64 adds a third
STOPPED = {"stop": ("good", "ended by its stop token"), "limit": ("bad", "missed its stop: cut off at the limit on length")}


def utterances(experiment: Experiment, scores: Scores) -> str:
    """Sentences with players, as many as keep the page small; the text says how many there are in all."""
    cards = list(_cards(experiment, scores))
    if not cards:
        return "<p>Nothing was spoken yet. The stage <code>synthesize</code> speaks the evaluation set.</p>"
    left = len(experiment.utterances) - len(cards)
    note = f" {left} more stand in <code>speech/eval</code>." if left else ""
    chains = "".join(f"<li><strong>{escape(kind.title)}</strong>: {escape(kind.chain)}</li>" for kind in SYSTEMS.values())
    return (
        f"<p>{len(cards)} sentences that training never saw, each spoken in several ways, so that every part can be judged by ear."
        f" Starting a player stops the others.{note}</p><ul class='chains'>{chains}</ul>{''.join(cards)}"
    )


def _cards(experiment: Experiment, scores: Scores) -> Iterator[str]:
    used = 0
    for number, utterance in enumerate(experiment.utterances[:MAX_UTTERANCES], start=1):
        spoken = load(utterance)
        sounds = {name: flac(audio.wave, audio.sample_rate) for name, audio in spoken.items()}
        used += sum(map(len, sounds.values()))
        if used > SOUND_BYTES and number > 1:
            return
        yield _card(number, utterance, experiment, scores, spoken, sounds)


def _card(
    number: int, utterance: Utterance, experiment: Experiment, scores: Scores, spoken: dict[str, UtteranceAudio], sounds: dict[str, bytes]
) -> str:
    shown = {name: title for name, title in titles().items() if name in sounds}
    players = "".join(_player(name, title, utterance, spoken[name], sounds[name], scores) for name, title in shown.items())
    return (
        f'<article class="utterance" aria-labelledby="u{number}"><header><h3 id="u{number}"><span class="number">{number}</span>'
        f"{escape(utterance.text or utterance.id)}</h3><p class='facts'><code>{escape(utterance.id)}</code>{_stop(utterance)}</p></header>"
        f'<div class="players">{players}</div>{drawings(utterance, experiment)}</article>'
    )


def _player(name: str, title: str, utterance: Utterance, audio: UtteranceAudio, sound: bytes, scores: Scores) -> str:
    known = columns()
    values = "".join(
        f"<div><dt>{escape(known[key].title)}</dt><dd>{value:.{known[key].digits}f} {escape(known[key].unit)}</dd></div>"
        for key in known
        if (value := scores.of(name, utterance.id).get(key)) is not None
    )
    heard = scores.heard.get(name, {}).get(utterance.id)
    said = f"<p class='heard'>heard: {escape(heard or '(nothing)')}</p>" if heard is not None else ""
    kind = " class='reference'" if name == RECORDING else ""
    return (
        f"<figure{kind}><figcaption>{escape(title)} <span class='quiet'>{audio.seconds:.2f} s</span></figcaption>"
        f"{player(sound, f'{title}: {utterance.text or utterance.id}')}<dl class='scores'>{values}</dl>{said}</figure>"
    )


def _stop(utterance: Utterance) -> str:
    reason = utterance.facts.get("stopped_by")
    if reason is None:
        return ""
    tone, text = STOPPED.get(str(reason), ("", f"ended by: {reason}"))
    return f' <span class="badge {tone}">{escape(text)}</span>'


def drawings(utterance: Utterance, experiment: Experiment) -> str:
    """Alignment and mels of the free run; stop probability and teacher-forced pictures folded away."""
    arrays = utterance.arrays()
    first: list[str] = []
    folded: list[str] = []
    if (image := alignment(utterance, experiment)) is not None:
        first.append(picture(image, f"Alignment of the free run of: {utterance.text}", "Alignment, free running"))
    for name, place in (("free", first), ("forced", folded)):
        mel = arrays.get(f"mel_{name}")
        if mel is not None and mel.size:
            drawn = pictures.png(pictures.mels(arrays.get("mel_true"), mel, experiment.hop_seconds))
            title = SYSTEMS[name].title.lower()
            told = f"Spectrogram of the recording above the predicted one, {title}: {utterance.text}"
            place.append(picture(drawn, told, f"Spectrograms, {title}"))
    if (image := alignment(utterance, experiment, "weights_forced")) is not None:
        folded.append(picture(image, f"Alignment when teacher-forced: {utterance.text}", "Alignment, teacher-forced"))
    stop = arrays.get("stop_free")
    if stop is not None and stop.size:
        drawn = pictures.png(pictures.stop_curve(stop, experiment.step_seconds, threshold(experiment)))
        folded.append(picture(drawn, f"Stop probability of each decoder step: {utterance.text}", "Stop probability, free running"))
    above = f"<div class='pictures'>{''.join(first)}</div>" if first else ""
    return above + (details("More pictures", f"<div class='pictures'>{''.join(folded)}</div>") if folded else "")


def alignment(utterance: Utterance, experiment: Experiment, name: str = "weights_free") -> bytes | None:
    """The alignment as a PNG, or None where there is none."""
    arrays = utterance.arrays()
    weights = arrays.get(name)
    if weights is None or not weights.size:
        return None
    symbols = [str(symbol) for symbol in arrays.get("symbols", np.array([]))]
    fitting = symbols if len(symbols) == weights.shape[1] else None
    return pictures.png(pictures.alignment(weights, fitting, experiment.step_seconds))


def threshold(experiment: Experiment) -> float:
    """The stop probability at which this experiment's speech ends."""
    return float(experiment.config.get("synthesis", {}).get("stop_threshold", 0.5))
