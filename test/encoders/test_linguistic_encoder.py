"""The linguistic encoder: ids of any vocabulary -> the same contexts."""

import numpy as np
import pytest
import torch

from toolkit.encoders import ENCODERS, LinguisticEncoder
from toolkit.errors import ConfigError
from toolkit.text.linguistic import WIDTH, linguistic_features
from toolkit.text.vocabulary import Vocabulary

TEXT = ["HH", "AH0", "L", "OW1", ","]


def test_contexts_do_not_depend_on_the_vocabulary() -> None:
    made = []
    for extra in ([], ["AA0", "."]):
        vocabulary = Vocabulary.build([[*TEXT, *extra]])
        encoder = ENCODERS.part("linguistic").build(num_symbols=len(vocabulary), symbols=vocabulary.symbols)
        assert encoder.out_dim == WIDTH and not list(encoder.parameters()) and not encoder.state_dict()
        made.append(encoder(torch.tensor([vocabulary.encode(TEXT)]), torch.tensor([6])))
    assert torch.equal(made[0], made[1])
    assert np.array_equal(made[0][0].numpy(), linguistic_features((*TEXT, "<eos>")))


def test_a_row_ends_where_its_length_does() -> None:
    vocabulary = Vocabulary.build([TEXT])
    encoder = LinguisticEncoder(vocabulary.symbols).double()
    ids = torch.tensor([vocabulary.encode(TEXT), [*vocabulary.encode(TEXT[:2]), 0, 0, 0]])
    memory = encoder(ids, torch.tensor([6, 3]))
    assert memory.dtype == torch.float64 and not memory[1, 3:].any()
    assert torch.equal(memory[1:, :3], encoder(ids[1:, :3], torch.tensor([3])))


def test_letters_are_refused() -> None:
    with pytest.raises(ConfigError, match="reads phones, the vocabulary has 'e'; set tokenizer: phone"):
        LinguisticEncoder(Vocabulary.build([list("hello")]).symbols)
    LinguisticEncoder(Vocabulary.made_up(9).symbols)
