"""Speak a text with a trained experiment.

The exit code is 3 where the voice did not find the end of the text.
"""

import argparse
import sys
from pathlib import Path

from toolkit.infer.options import add_settings, add_voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", help="what to say; - reads it from standard input")
    parser.add_argument(
        "--model", "--exp", "-m", dest="model", type=Path, help="folder of an experiment (default: recipes/ljspeech/exp/mini)"
    )
    parser.add_argument("--out", "-o", type=Path, default=Path("speech.wav"), help="wave file to write (default: speech.wav)")
    parser.add_argument("--seed", type=int, default=1, help="of all random draws")
    parser.add_argument("--vocoder", choices=["trained", "griffin_lim"], default="trained")
    parser.add_argument("--device", default="cpu")
    add_voice(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    import time

    from toolkit.infer.evaluation_set import write_wave
    from toolkit.infer.load import default_model, griffin_lim, load_mel2wav, load_text2mel
    from toolkit.infer.speak import predict_mels, vocode
    from toolkit.infer.voices import chosen_voice

    text = sys.stdin.read().strip() if args.text == "-" else args.text
    model = args.model or default_model()
    text2mel = load_text2mel(model, args.device, args.set)
    text2mel.frontend.symbols(text)
    text2mel.conditions([voice := chosen_voice(args, text2mel.system)])
    mel2wav = load_mel2wav(model, args.device, args.set) if args.vocoder == "trained" else griffin_lim(text2mel.system)
    begin = time.perf_counter()
    spoken = predict_mels(text2mel, [text], [args.seed], voices=[voice])[0]
    wave = vocode(mel2wav, [spoken.mel], [args.seed])[0]
    elapsed, seconds = time.perf_counter() - begin, len(wave) / mel2wav.system.features.sample_rate
    write_wave(args.out, wave, mel2wav.system.features.sample_rate)
    print(f"{args.out}: {seconds:.2f} s of speech in {elapsed:.2f} s (RTF {elapsed / seconds:.2f}), ended by {spoken.stopped_by}")
    return 0 if spoken.stopped_by == "stop" else 3
