"""Train a task: text2mel or mel2wav. The same command resumes.

Under torchrun the micro-batches of each update are shared among the processes; the result does not depend on how many.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=["text2mel", "mel2wav"])
    parser.add_argument("--config", type=Path, required=True, help="preset, or the config.yaml of an experiment")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--data", type=Path, required=True, help="folder of features with train/ and dev/")
    parser.add_argument("--exp", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--resume", default="auto", metavar="auto|never|PATH", help="continue (default), begin anew, or from a checkpoint")
    parser.add_argument(
        "--init-param", action="append", default=[], metavar="PATH[:SOURCE[:TARGET[:EXCLUDES]]]",
        help="first weights from a safetensors file, checkpoint, run or experiment: those whose names begin with SOURCE, which"
        " becomes TARGET, without those with a word of EXCLUDES; may be repeated; a training that goes on ignores it",
    )  # fmt: skip
    parser.add_argument("--fork", type=Path, metavar="EXP", help="continue in a new experiment, with changed settings")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def run(args: argparse.Namespace) -> int:
    import torch

    from toolkit.tasks.assembly import TASKS, lay_out, write_card
    from toolkit.tasks.schema import load_system
    from toolkit.train.distributed import Processes
    from toolkit.train.initial import first_weights
    from toolkit.train.trainer import Trainer

    system = load_system(args.config, args.set)
    processes = Processes.start(args.device)

    def train() -> None:  # what holds the process group must be gone before ``stop``
        folder = lay_out(system, args.task, args.data, args.exp, args.fork, args.resume, processes)
        torch.manual_seed(system.seed)  # of the first weights
        task = TASKS[args.task].from_folder(system, folder)
        if not any(parameter.requires_grad for parameter in task.parameters()):
            print(f"{args.task}: {folder}: this part is signal processing, there is nothing to train")
            return
        run = folder / args.task
        initial = first_weights(task, args.task, run, args.init_param, args.resume, processes.main)
        happened = {"initial_weights": initial} if initial else {}
        write_card(system, args.task, folder, args.data, processes, happened)
        splits = task.data(args.data / "train"), task.data(args.data / "dev")
        identity = task.identity(system)
        trainer = Trainer(task, *splits, task.settings, run, system.seed, identity, processes, initial or "the start")
        trainer.run(args.resume)
        write_card(system, args.task, folder, args.data, processes, {**happened, **trainer.outcome()})

    try:
        train()
    finally:
        processes.stop()
    return 0
