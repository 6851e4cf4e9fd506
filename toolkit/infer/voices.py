"""The options that say who speaks and how -> a voice."""

import argparse

from toolkit.data.shards import Extraction, features_of
from toolkit.data.vectors import read_vector
from toolkit.data.voices import Voice
from toolkit.tasks.schema import System


def chosen_voice(args: argparse.Namespace, system: System) -> Voice:
    """What the command line asks for. The frames of a reference are made as those of training.

    Raises:
        DataError: a file cannot be read.
    """
    vector = None if args.speaker_vector is None else read_vector(args.speaker_vector)
    extraction = Extraction(system.features, system.trim, system.level)
    reference = None if args.reference is None else features_of(args.reference, extraction)
    return Voice(args.speaker, args.language, vector, reference, args.style)
