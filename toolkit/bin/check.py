"""Build everything that a configuration names and take one step of each task on made-up data."""

import argparse
from pathlib import Path
from typing import Any

SYMBOLS = 40  # of a made-up token list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration."""
    parser.add_argument("config", type=Path, help="a preset or an experiment's config.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")


def run(args: argparse.Namespace) -> int:
    """Every mistake that a configuration can hold shows here, before any data is touched."""
    import torch

    from toolkit.errors import ConfigError
    from toolkit.tasks.mel2wav import Mel2Wav
    from toolkit.tasks.schema import load_system
    from toolkit.tasks.text2mel import Text2Mel
    from toolkit.text.vocabulary import Vocabulary
    from toolkit.train.freezing import freeze
    from toolkit.train.turn import Turn

    system = load_system(args.config, args.set)
    torch.manual_seed(system.seed)
    said = []
    tasks: list[Any] = [Text2Mel(system, Vocabulary.made_up(SYMBOLS)), Mel2Wav(system)]
    for task in tasks:
        turns = task.turns(task.settings.max_steps)
        size = sum(parameter.numel() for _, parameter in task.parameters_of(turns[-1]))  # without discriminators
        freeze(task, task.settings.freeze if size else None)
        said.append(f"{task.name} {size / 1e6:.2f} M parameters")
        for name in turns if size else ():
            turn, losses = Turn(task.parameters_of(name), task.settings.of(name)), task.losses(task.made_up_batch(), name)
            loss = torch.stack([value.sum() for value in losses.values()]).sum()
            if not torch.isfinite(loss):
                raise ConfigError(f"{task.name}: the loss of made-up data must be finite, got {losses}")
            turn.backward(loss)
            turn.apply(turn.gradient_norm(), 1)
    print(f"{args.config.name} fits: {', '.join(said)}")
    return 0
