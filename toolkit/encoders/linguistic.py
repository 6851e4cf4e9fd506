"""The encoder that learns nothing: symbols -> their linguistic context."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.encoders.base import ENCODERS, Encoder
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.text.linguistic import WIDTH, is_phone, linguistic_features


@ENCODERS.register("linguistic")
class LinguisticEncoder(Encoder):
    """Phones with stress, word boundaries and marks -> identities of neighbours, stress, positions (WaveNet, appendix B).

    It has no weights, and its width is the same for every vocabulary. Of the tokenizers ``phone`` suits it, with
    ``word_boundary`` on.

    Raises:
        ConfigError: the vocabulary is one of letters.
    """

    blank: Tensor

    def __init__(self, symbols: tuple[str, ...]) -> None:
        super().__init__()
        letters = [symbol for symbol in symbols if len(symbol) == 1 and symbol.isalnum() and not is_phone(symbol)]
        if letters:
            raise ConfigError(f"the linguistic encoder reads phones, the vocabulary has {letters[0]!r}; set tokenizer: phone")
        self.symbols, self.out_dim = symbols, WIDTH
        self.register_buffer("blank", torch.zeros(WIDTH), persistent=False)

    def forward(self, inputs: Tensor, lengths: Tensor, noise: Noise | None = None) -> Tensor:
        memory = self.blank.repeat(*inputs.shape, 1)
        for row, (ids, length) in enumerate(zip(inputs.tolist(), lengths.tolist(), strict=True)):
            contexts = linguistic_features(tuple(self.symbols[i] for i in ids[:length]))
            memory[row, :length] = torch.tensor(contexts, dtype=memory.dtype, device=memory.device)
        return memory  # B S D
