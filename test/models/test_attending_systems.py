"""Systems of encoders and decoders that attend by themselves, and that no attention is named where none is taken."""

from pathlib import Path

import pytest
import torch

from toolkit.config import parse_yaml, read
from toolkit.errors import ConfigError
from toolkit.nn.noise import Noise
from toolkit.tasks.card import as_markdown, training_card
from toolkit.tasks.schema import System, as_saved, load_system
from toolkit.tasks.text2mel import Text2Mel
from toolkit.text.vocabulary import Vocabulary

MINI = Path(__file__).parents[2] / "recipes/ljspeech/conf/mini.yaml"
LINGUISTIC = MINI.with_name("paper_wavenet_linguistic.yaml")
SMALL = ["postnet_conf={channels: 8, dropout: 0.0}", "normalise=none"]
ATTENDING = "{units: 16, heads: 2, layers: 2, feed_forward: 32, dropout: 0.0}"
DECODER = ["decoder=transformer", f"decoder_conf={ATTENDING}", "decoder_conf.prenet=[16, 16]", "attention=null"]
RECURRENT = ["attention_conf={dim: 8, filters: 4, kernel_size: 5}", "decoder_conf={prenet: [8, 8], lstm: 8}"]


@pytest.mark.parametrize("encoder", ["transformer", "conformer"])
@pytest.mark.parametrize("decoder", [DECODER, RECURRENT], ids=["transformer", "tacotron2"])
def test_a_system_learns_and_speaks(encoder: str, decoder: list[str]) -> None:
    torch.manual_seed(0)
    system = load_system(MINI, [*SMALL, *decoder, f"encoder={encoder}", f"encoder_conf={ATTENDING}"])
    task = Text2Mel(system, Vocabulary.made_up(12))
    batch, values = task.made_up_batch(), []
    optimiser = torch.optim.Adam(task.parameters_of("main"), 3e-3)
    for _ in range(30):
        optimiser.zero_grad()
        losses = task.losses(batch, "main")
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert set(losses) == {"mse", "mae", "stop", "guided_attention"} and values[-1] < 0.9 * values[0]
    with torch.inference_mode():
        spoken = task.eval().generate(batch.tokens, batch.token_lengths, Noise.of_rows([1, 2]))
    assert spoken.mel.isfinite().all() and spoken.output.weights is not None


def test_the_preset_is_that_of_mini_but_for_its_networks() -> None:
    preset, mini = load_system(MINI.with_name("mini_transformer.yaml")), load_system(MINI)
    assert (preset.encoder.name, preset.attention, preset.decoder.name) == ("transformer", None, "transformer")
    assert preset.text2mel == mini.text2mel and preset.features == mini.features and preset.losses == mini.losses


def test_a_saved_system_without_attention_is_read_again() -> None:
    system = load_system(MINI, DECODER)
    assert system.attention is None
    assert read(System, parse_yaml(as_saved(system), "saved")) == system
    card = as_markdown("text2mel", training_card(system, "text2mel", 1))
    assert "| Attention | no part |" in card


@pytest.mark.parametrize(
    ("preset", "assignments", "message"),
    [
        (MINI, ["decoder=transformer"], "attention: decoder 'transformer' takes none, got 'location_sensitive'; set attention: null"),
        (LINGUISTIC, ["attention=content"], "attention: decoder 'linguistic' takes none, got 'content'; set attention: null"),
        (MINI, ["attention=null"], "attention: decoder 'tacotron2' needs one, got null; known: .*location_sensitive"),
        (MINI, ["attention=null", "attention_conf={dim: 8}"], "attention: expected the name of a part, got None; known: "),
        (MINI, ["postnet=null"], "postnet: expected the name of a part, got None; known: "),
    ],
)
def test_an_attention_that_would_be_ignored_is_refused(preset: Path, assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_system(preset, assignments)
