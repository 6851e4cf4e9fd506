"""NVIDIA's Tacotron 2: ``tacotron2_statedict.pt``. Its settings stand in no file of their own: sizes are read off the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.errors import CheckpointError
from toolkit.infer.importing.base import IMPORTERS, Imported, Importer, Source, Taken
from toolkit.text.vocabulary import EOS, PAD

MARKS = "-!'(),.:;? "
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = (
    "B",
    "CH",
    "D",
    "DH",
    "F",
    "G",
    "HH",
    "JH",
    "K",
    "L",
    "M",
    "N",
    "NG",
    "P",
    "R",
    "S",
    "SH",
    "T",
    "TH",
    "V",
    "W",
    "Y",
    "Z",
    "ZH",
)
PHONES = sorted([*CONSONANTS, *(f"{vowel}{stress}" for vowel in VOWELS for stress in ("", "0", "1", "2"))])
SYMBOLS = [*MARKS, *LETTERS, *(f"@{phone}" for phone in PHONES)]  # by id from 1 on; 0 is padding
FEATURES = {
    "sample_rate": 22050, "hop": 256, "window": 1024, "n_fft": 1024, "f_min": 0.0, "f_max": 8000.0, "floor": 1e-5, "band_norm": "slaney",
    "edges": "reflect",
}  # fmt: skip
LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@IMPORTERS.register("nvidia_tacotron2")
class NvidiaTacotron2Importer(Importer):
    """NVIDIA's Tacotron 2: ``tacotron2_statedict.pt``, or a checkpoint of its ``train.py``."""

    task = "text2mel"
    places = (("state_dict",), ())

    def convert(self, source: Source) -> Imported:
        taken = Taken(source.weights)
        embedding = taken("embedding.weight", None, None)
        if len(embedding) != len(SYMBOLS) + 1:
            raise CheckpointError(
                f"embedding.weight: {len(SYMBOLS) + 1} symbols are known, got {len(embedding)}; was it trained on others?"
            )
        weights = {"encoder.embedding.weight": torch.cat([embedding[:1], embedding[:1], embedding[1:]])}
        encoder = convolutions(taken, "encoder.convolutions", "encoder.convolutions", weights)
        sides = [f"{name}_l0{side}" for side in ("", "_reverse") for name in LSTM]
        weights |= taken.renamed({f"encoder.lstm.{name}": f"encoder.lstm.{name}" for name in sides})
        postnet = convolutions(taken, "postnet.convolutions", "postnet.convolutions", weights)
        knobs = _decoder(taken, weights)
        bands = len(weights["decoder.frames.bias"])
        system: dict[str, Any] = {
            "features": {**FEATURES, "n_mels": bands},
            "tokenizer": "char",
            "cleaner": "english",
            "encoder": "conv_blstm",
            "encoder_conf": {**encoder, "embedding": embedding.shape[1], "lstm": 2 * weights["encoder.lstm.weight_hh_l0"].shape[1]},
            **knobs,
            "postnet": "conv",
            "postnet_conf": postnet,
            "reduction": 1,
            "normalise": "none",
        }
        remarks = ("a text ends with <eos> here; it has the weights of padding, which followed texts there",)
        return Imported(system, {f"model.{k}": v for k, v in weights.items()}, None, (PAD, EOS, *SYMBOLS), remarks)


def convolutions(taken: Taken, there: str, here: str, weights: dict[str, Tensor], conv: str = "0.conv") -> dict[str, Any]:
    """Take a stack of convolutions with batch norm, each of which is called ``conv``; returns its sizes."""
    count = taken.count(f"{there}.{{}}.{conv}.weight")
    if count == 0:
        raise CheckpointError(f"{there}.0.{conv}.weight: no such weight in the checkpoint")
    for i in range(count):
        kernel = weights[f"{here}.{i}.conv.weight"] = taken(f"{there}.{i}.{conv}.weight")
        bias = f"{there}.{i}.{conv}.bias"
        weights[f"{here}.{i}.conv.bias"] = taken(bias) if taken.has(bias) else kernel.new_zeros(len(kernel))
        norm = ("weight", "bias", "running_mean", "running_var")
        weights |= taken.renamed({f"{there}.{i}.1.{name}": f"{here}.{i}.norm.{name}" for name in norm})
        taken.ignore(f"{there}.{i}.1.num_batches_tracked")
    first = weights[f"{here}.0.conv.weight"]
    return {"layers": count, "channels": first.shape[0], "kernel_size": first.shape[2]}


def _decoder(taken: Taken, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Take decoder and attention; returns their settings."""
    layers = taken.count("decoder.prenet.layers.{}.linear_layer.weight")
    for i in range(layers):
        weight = taken(f"decoder.prenet.layers.{i}.linear_layer.weight")
        weights |= {f"decoder.prenet.layers.{i}.weight": weight, f"decoder.prenet.layers.{i}.bias": weight.new_zeros(len(weight))}
    for there, here in (("attention_rnn", "first"), ("decoder_rnn", "second")):
        weights |= taken.renamed({f"decoder.{there}.{name}": f"decoder.{here}.{name}" for name in LSTM})
    for there, here in (("linear_projection", "frames"), ("gate_layer", "stop")):
        weights |= taken.renamed({f"decoder.{there}.linear_layer.{name}": f"decoder.{here}.{name}" for name in ("weight", "bias")})
    there, here = "decoder.attention_layer", "decoder.attention.energies"
    names = {"query_layer.linear_layer": "query", "memory_layer.linear_layer": "key", "v.linear_layer": "energy"}
    names |= {"location_layer.location_conv.conv": "filters", "location_layer.location_dense.linear_layer": "location"}
    weights |= taken.renamed({f"{there}.{old}.weight": f"{here}.{new}.weight" for old, new in names.items()})
    key, filters = weights[f"{here}.key.weight"], weights[f"{here}.filters.weight"]
    weights[f"{here}.key.bias"] = key.new_zeros(len(key))
    prenet = [len(weights[f"decoder.prenet.layers.{i}.weight"]) for i in range(layers)]
    return {
        "attention": "location_sensitive",
        "attention_conf": {"dim": len(key), "filters": len(filters), "kernel_size": filters.shape[2], "previous": True},
        "decoder": "tacotron2",
        "decoder_conf": {"prenet": prenet, "lstm": weights["decoder.first.weight_hh"].shape[1], "zoneout": 0.0, "wiring": "nvidia"},
    }
