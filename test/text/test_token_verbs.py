"""The verbs `tokens` and `bpe`: what they write, and every problem at once."""

import argparse
import pickle

import pytest

from toolkit.bin import bpe, tokens
from toolkit.errors import DataError
from toolkit.text.cleaners import BasicCleaner, EnglishCleaner
from toolkit.text.coverage import Coverage
from toolkit.text.tokenizers import BpeTokenizer, CharTokenizer
from toolkit.text.vocabulary import Vocabulary

CONFIG = "encoder: conv_blstm\nattention: location_sensitive\ndecoder: tacotron2\npostnet: conv\nvocoder: griffin_lim\nlosses: {mse: {}}\n"
SENTENCES = ["the cat sat on the mat", "a cat and a hat", "that is the hat of the cat", "she sells sea shells on the shore"]


def parsed(verb, *words):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG + "cleaner: basic\ntokenizer: char\n")
    (tmp_path / "train").write_text("".join(f"u{n} {sentence}\n" for n, sentence in enumerate(SENTENCES)), encoding="utf-8")
    (tmp_path / "dev").write_text("d1 café {HH}\nd2 the é cat!\nd3 the sea\nd4 ...\nd5 {XX}\n", encoding="utf-8")
    return tmp_path


def test_tokens_are_written(folder, capsys):
    args = parsed(tokens, "--config", folder / "config.yaml", "--text", folder / "train", "--out", folder / "tokens.txt")
    assert tokens.run(args) == 0
    assert Vocabulary.load(folder / "tokens.txt").symbols[2:] == tuple(sorted(set("".join(SENTENCES))))
    assert "symbols (char), 0 unknown; rare: " in capsys.readouterr().out


def test_unknown_symbols_of_dev_are_all_listed_and_nothing_is_written(folder):
    options = ("--config", folder / "config.yaml", "--text", folder / "train", "--out", folder / "tokens.txt", "--check", folder / "dev")
    with pytest.raises(DataError) as error:
        tokens.run(parsed(tokens, *options))
    lines = str(error.value).splitlines()
    assert any("symbol 'é' is not in the vocabulary, got it 2x in d1, d2; use cleaner english" in line for line in lines)
    assert any("'@HH'" in line and "d1" in line for line in lines) and any("'!'" in line and "d2" in line for line in lines)
    assert any("d4: nothing to say is left" in line for line in lines) and any("d5: inline phonemes {XX}" in line for line in lines)
    assert not (folder / "tokens.txt").exists()


def test_check_alone_reads_the_list(folder):
    (folder / "tokens.txt").write_text(Vocabulary.build(["the sea"]).to_text())
    (folder / "fine").write_text("d3 the sea\n")
    options = ("--config", folder / "config.yaml", "--out", folder / "tokens.txt", "--check")
    assert tokens.run(parsed(tokens, *options, folder / "fine")) == 0
    with pytest.raises(DataError, match="symbol 'c'"):
        tokens.run(parsed(tokens, *options, folder / "dev"))


def test_bpe_is_trained_the_same_each_time(folder, capsys):
    for name in ("a", "b"):
        assert bpe.run(parsed(bpe, "--text", folder / "train", "--model", folder / name, "--vocab-size", 40)) == 0
    assert (folder / "a.model").read_bytes() == (folder / "b.model").read_bytes()
    assert capsys.readouterr().err == ""
    tokenizer = pickle.loads(pickle.dumps(BpeTokenizer(model=str(folder / "a.model"))))
    symbols = tokenizer.symbols("the cat {HH AH0}")
    assert "".join(symbols[:-2]).replace("▁", " ").strip() == "the cat" and symbols[-2:] == ["@HH", "@AH0"]
    vocabulary = Vocabulary.build([tokenizer.inventory()])
    assert (folder / "a.vocab").read_text(encoding="utf-8").split() == tokenizer.inventory()
    assert len(vocabulary.encode(tokenizer.symbols("a shore cat"))) < len("a shore cat")
    assert vocabulary.unknown(tokenizer.symbols("the café")) == {"é": 1}


@pytest.mark.parametrize(("size", "bound"), [(3, "take at least"), (100_000, "take at most")])
def test_bpe_size_that_does_not_fit(folder, size, bound):
    with pytest.raises(DataError, match=f"got --vocab-size {size}; {bound}"):
        bpe.run(parsed(bpe, "--text", folder / "train", "--model", folder / "m", "--vocab-size", size))
    assert [path.name for path in folder.iterdir() if path.name.startswith((".", "m"))] == []


def test_rare_symbols_are_named():
    coverage = Coverage(EnglishCleaner(), CharTokenizer())
    coverage.add({"u": "aaaaa z"}, "train")
    assert coverage.rare() == ["' ' (1x)", "'z' (1x)"]
    assert Coverage(BasicCleaner(), CharTokenizer()).vocabulary().symbols == ("<pad>", "<eos>")
