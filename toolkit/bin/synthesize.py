"""Speak the evaluation set from text alone, and from teacher-forced and true mels to compare with."""

import argparse
from pathlib import Path

from toolkit.infer.options import add_settings, add_voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--data", type=Path, required=True, help="folder of features with eval/")
    parser.add_argument("--split", default="eval", help="which utterances (default: eval)")
    add_voice(parser)
    add_settings(parser)
    parser.add_argument("--utterances", type=int, help="how many, spread over the split; 0 for all (default: synthesis.utterances)")
    parser.add_argument("--without-vocoder", action="store_true", help="Griffin-Lim only, before there is a trained vocoder")
    parser.add_argument("--device", default="cpu")


def run(args: argparse.Namespace) -> int:
    from toolkit.infer.evaluation_set import speak_evaluation_set
    from toolkit.infer.load import load_mel2wav, load_text2mel
    from toolkit.infer.voices import chosen_voice

    text2mel = load_text2mel(args.exp, args.device, args.set)
    mel2wav = None if args.without_vocoder else load_mel2wav(args.exp, args.device, args.set)
    count = text2mel.system.synthesis.utterances if args.utterances is None else args.utterances
    voice, out = chosen_voice(args, text2mel.system), args.exp / "speech" / args.split
    for line in speak_evaluation_set(text2mel, mel2wav, args.data / args.split, out, count, voice):
        print(line)
    return 0
