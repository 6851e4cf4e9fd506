"""Tacotron 2 of ESPnet2: ``train.loss.ave_5best.pth`` and the ``config.yaml`` beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from toolkit.errors import CheckpointError, ConfigError
from toolkit.infer.importing.base import IMPORTERS, Imported, Importer, Source, Taken, setting
from toolkit.infer.importing.nvidia_tacotron2 import LSTM, convolutions
from toolkit.text.vocabulary import EOS, PAD

EXPECTED = {  # settings of the model that have one form here
    "elayers": 1, "dlayers": 2, "use_batch_norm": True, "use_concate": True, "use_residual": False, "output_activation": None,
    "use_gst": False,
}  # fmt: skip
EXPECTED_FEATURES = {"window": "hann", "center": True, "normalized": False, "onesided": True}
EXPECTED_NORMALISATION = {"norm_means": True, "norm_vars": True}
ATTENTIONS = {  # what ESPnet has in its code and in no setting
    "location": {"attention": "location_sensitive", "attention_conf": {"sharpening": 2.0, "even_start": True}},
    "forward": {"attention": "forward", "attention_conf": {"least": 1e-6}},
}
FLOOR = 1e-10  # its mels are clipped there
SPACE = "<space>"
G2PS = {"g2p_en": True, "g2p_en_no_space": False}  # with a symbol between words or without


@IMPORTERS.register("espnet_tacotron2")
class EspnetTacotron2Importer(Importer):
    """Tacotron 2 of ESPnet2: ``*.pth`` of ``exp/tts_*`` with its ``config.yaml``."""

    task = "text2mel"
    places = ((), ("model",))
    needs_settings = True

    def convert(self, source: Source) -> Imported:
        settings, taken = source.settings, Taken(source.weights)
        if (kind := setting(settings, "tts")) != "tacotron2":
            raise ConfigError(f"--config: tts: only tacotron2 is known, got {kind!r}")
        conf = setting(settings, "tts_conf", {})
        _check(conf, "tts_conf", EXPECTED)
        taken.ignore("feats_extract.", "tts.taco2_loss.", "tts.dec.att.gvec.bias")  # the last is the same for all symbols
        symbols = _symbols(settings)
        embedding = taken("tts.enc.embed.weight", len(symbols), None)
        weights = {"encoder.embedding.weight": torch.cat([embedding[:1], embedding[-1:], embedding[1:-1]])}
        dropout = conf.get("dropout_rate", 0.5)
        encoder = convolutions(taken, "tts.enc.convs", "encoder.convolutions", weights, "0")
        sides = [f"{name}_l0{side}" for side in ("", "_reverse") for name in LSTM]
        weights |= taken.renamed({f"tts.enc.blstm.{name}": f"encoder.lstm.{name}" for name in sides})
        units = 2 * weights["encoder.lstm.weight_hh_l0"].shape[1]
        mels = features(settings)
        system: dict[str, Any] = {
            "features": mels,
            **_text(settings),
            "encoder": "conv_blstm",
            "encoder_conf": {**encoder, "embedding": embedding.shape[1], "lstm": units, "dropout": dropout},
            **_attention(taken, conf, weights),
            **_decoder(taken, conf, weights, mels["n_mels"]),
            **_postnet(taken, weights, dropout),
            **_speaker(taken, conf, weights, units),
        }
        statistics = _statistics(taken, settings)
        system["normalise"] = "none" if statistics is None else "per_bin"
        remarks = _remarks(settings, system["reduction"])
        return Imported(system, {f"model.{k}": v for k, v in weights.items()}, statistics, symbols, remarks)


def features(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Its mels: log10 of magnitudes unless it says another base, frames centred on their first sample, edges mirrored."""
    if (kind := setting(settings, "feats_extract")) != "fbank":
        raise ConfigError(f"--config: feats_extract: only fbank has a counterpart, got {kind!r}")
    conf = setting(settings, "feats_extract_conf", {})
    _check(conf, "feats_extract_conf", EXPECTED_FEATURES)
    if (base := conf.get("log_base", 10.0)) not in (None, 10.0):
        raise ConfigError(f"--config: feats_extract_conf.log_base: only 10, or null for e, got {base!r}")
    written = str(conf.get("fs", 16000))
    rate = int(written) if written.isdigit() else round(1000 * float(written.removesuffix("k")))
    n_fft = conf.get("n_fft", 1024)
    low, high = conf.get("fmin", 80), conf.get("fmax", 7600)
    return {
        "sample_rate": rate,
        "hop": conf.get("hop_length", 256),
        "window": conf.get("win_length") or n_fft,
        "n_fft": n_fft,
        "n_mels": conf.get("n_mels", 80),
        "f_min": float(low or 0),
        "f_max": rate / 2 if high is None else float(high),
        "floor": FLOOR,
        "log_base": "10" if base else "e",
        "mel_scale": "htk" if conf.get("htk") else "slaney",
        "band_norm": "slaney",
        "edges": "reflect",
    }


def _check(conf: Mapping[str, Any], where: str, expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if (found := conf.get(name, value)) != value:
            raise ConfigError(f"--config: {where}.{name}: only {value!r} has a counterpart, got {found!r}")


def _symbols(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of its token list by our ids: padding is its first one, what ends a text its last one."""
    tokens = [" " if token == SPACE else str(token) for token in setting(settings, "token_list")]
    if setting(settings, "token_type") == "char" and settings.get("cleaner") == "tacotron":
        tokens = [token.lower() for token in tokens]  # its cleaner makes capitals where ours makes small letters
    return PAD, EOS, *tokens[1:-1]


def _text(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What reads texts here."""
    kind, g2p, cleaner = setting(settings, "token_type"), settings.get("g2p"), settings.get("cleaner")
    if kind not in ("char", "phn"):
        raise ConfigError(f"--config: token_type: only char and phn have a counterpart, got {kind!r}")
    if kind == "phn" and g2p not in G2PS:
        raise ConfigError(f"--config: g2p: only {' and '.join(G2PS)} have a counterpart, got {g2p!r}")
    if cleaner not in (None, "none", "tacotron"):
        raise ConfigError(f"--config: cleaner: only tacotron has a counterpart, got {cleaner!r}")
    if kind == "phn":
        return {"cleaner": "english", "tokenizer": "phone", "tokenizer_conf": {"word_boundary": G2PS[str(g2p)]}}
    if cleaner == "tacotron":
        return {"cleaner": "english", "tokenizer": "char"}
    return {"cleaner": "basic", "cleaner_conf": {"lower": False}, "tokenizer": "char"}


def _attention(taken: Taken, conf: Mapping[str, Any], weights: dict[str, Tensor]) -> dict[str, Any]:
    kind = conf.get("atype", "location")
    if kind not in ATTENTIONS:
        raise ConfigError(f"--config: tts_conf.atype: only {' and '.join(ATTENTIONS)} have a counterpart, got {kind!r}")
    if kind == "location":
        _check(conf, "tts_conf", {"cumulate_att_w": True})
    there, here = "tts.dec.att", "decoder.attention.energies"
    names = {"mlp_enc.weight": "key.weight", "mlp_enc.bias": "key.bias", "mlp_dec.weight": "query.weight"}
    names |= {"mlp_att.weight": "location.weight", "gvec.weight": "energy.weight"}
    weights |= taken.renamed({f"{there}.{old}": f"{here}.{new}" for old, new in names.items()})
    filters = weights[f"{here}.filters.weight"] = taken(f"{there}.loc_conv.weight", None, 1, 1, None)[:, 0]
    sizes = {"dim": len(weights[f"{here}.key.bias"]), "filters": len(filters), "kernel_size": filters.shape[2]}
    chosen: dict[str, Any] = ATTENTIONS[kind]
    return {**chosen, "attention_conf": {**chosen["attention_conf"], **sizes}}


def _decoder(taken: Taken, conf: Mapping[str, Any], weights: dict[str, Tensor], bands: int) -> dict[str, Any]:
    layers = taken.count("tts.dec.prenet.prenet.{}.0.weight")
    for i in range(layers):
        names = {f"tts.dec.prenet.prenet.{i}.0.{name}": f"decoder.prenet.layers.{i}.{name}" for name in ("weight", "bias")}
        weights |= taken.renamed(names)
    prenet = [len(weights[f"decoder.prenet.layers.{i}.bias"]) for i in range(layers)]
    cell = ".cell" if taken.has("tts.dec.lstm.0.cell.weight_ih") else ""  # where there is zoneout
    for i, here in enumerate(("first", "second")):
        weights |= taken.renamed({f"tts.dec.lstm.{i}{cell}.{name}": f"decoder.{here}.{name}" for name in LSTM})
    before = weights["decoder.first.weight_ih"]
    weights["decoder.first.weight_ih"] = before.roll(prenet[-1] if prenet else bands, 1)  # the prenet's output comes first here
    rows = taken("tts.dec.feat_out.weight", None, None)
    reduction, left = divmod(len(rows), bands)
    if left or not reduction:
        raise CheckpointError(f"tts.dec.feat_out.weight: expected frames of {bands} bands, got {len(rows)}; is the configuration its own?")
    weights["decoder.frames.weight"] = rows.view(bands, reduction, -1).transpose(0, 1).flatten(0, 1)
    weights["decoder.frames.bias"] = rows.new_zeros(len(rows))
    weights["decoder.stop.weight"] = taken("tts.dec.prob_out.weight", reduction, None)[-1:]
    weights["decoder.stop.bias"] = taken("tts.dec.prob_out.bias", reduction)[-1:]
    knobs = {
        "wiring": "espnet",
        "prenet": prenet,
        "prenet_dropout": conf.get("dropout_rate", 0.5),
        "lstm": weights["decoder.first.weight_hh"].shape[1],
        "zoneout": conf.get("zoneout_rate", 0.1),
    }
    return {"decoder": "tacotron2", "decoder_conf": knobs, "reduction": reduction}


def _postnet(taken: Taken, weights: dict[str, Tensor], dropout: float) -> dict[str, Any]:
    if not taken.count("tts.dec.postnet.postnet.{}.0.weight"):
        return {"postnet": "none"}
    sizes = convolutions(taken, "tts.dec.postnet.postnet", "postnet.convolutions", weights, "0")
    return {"postnet": "conv", "postnet_conf": {**sizes, "dropout": dropout}}


def _speaker(taken: Taken, conf: Mapping[str, Any], weights: dict[str, Tensor], units: int) -> dict[str, Any]:
    """A vector of the speaker, side by side with the memory or added to it. Tables of speakers or languages are refused."""
    for name in ("spks", "langs"):
        if (found := conf.get(name) or 1) > 1:
            raise ConfigError(f"--config: tts_conf.{name}: a table of them has no counterpart, got {found}; only one")
    size = conf.get("spk_embed_dim") or 0
    if not size:
        return {}
    merge = conf.get("spk_embed_integration_type", "concat")
    if merge == "add":
        weights["conditioning.projections.vector.weight"] = taken("tts.projection.weight", units, size)
        _add_to_memory(taken("tts.projection.bias", units), weights)
    return {"conditioning": {"vector": {"dim": size}, "merge": merge}}


def _add_to_memory(shift: Tensor, weights: dict[str, Tensor]) -> None:
    """Into the biases of all that reads the memory: weights have a sum of 1, so that a context has the same shift."""
    readers = {"decoder.attention.energies.key": "", "decoder.first": "_ih", "decoder.frames": "", "decoder.stop": ""}
    for name, kind in readers.items():
        columns = weights[f"{name}.weight{kind}"][:, -len(shift) :]
        weights[f"{name}.bias{kind}"] = weights[f"{name}.bias{kind}"] + columns @ shift


def _statistics(taken: Taken, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor] | None:
    kind = settings.get("normalize")
    if kind is None:
        return None
    if kind != "global_mvn":
        raise ConfigError(f"--config: normalize: only global_mvn has a counterpart, got {kind!r}")
    _check(settings.get("normalize_conf") or {}, "normalize_conf", EXPECTED_NORMALISATION)
    return taken("normalize.mean", None), taken("normalize.std", None)


def _remarks(settings: Mapping[str, Any], reduction: int) -> tuple[str, ...]:
    cleaner = settings.get("cleaner") or "none"
    text = f"texts are read by cleaner and tokenizer of ours, there by cleaner {cleaner} and g2p {settings.get('g2p') or 'none'}"
    remarks = [f"{text}; a symbol that it never learned is refused here, there it is <unk>"]
    remarks += ["magnitudes of the FFT have a floor of 1e-5 there, none here: frames differ where a recording is digital silence"]
    if reduction > 1:
        remarks += [f"of the stop tokens of each {reduction} frames only the last one's counts here"]
    return tuple(remarks)
