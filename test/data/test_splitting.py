"""Filter and split: which set an utterance goes to, and why one is dropped."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.bin import split as verb
from toolkit.data import kaldi
from toolkit.data.kaldi import Utterance
from toolkit.data.splitting import held_out, split, write_split
from toolkit.errors import DataError

LIMITS = SimpleNamespace(min_seconds=0.5, max_seconds=10.0, max_characters=100)


def utterances(count, **changes):
    return [Utterance(f"u{n:05d}", Path(f"/u{n}.wav"), "text", "lj", 2.0) for n in range(count)]


@pytest.mark.parametrize(
    ("total", "each"),
    [(13100, 250), (20000, 250), (13099, 249), (1000, 19), (300, 15), (45, 15), (44, 8), (10, 2), (5, 1), (3, 1)],
)
def test_sizes_of_dev_and_eval(total, each):
    assert held_out(total) == each


def test_full_ljspeech_gives_the_last_500():
    result = split(utterances(13100), LIMITS)
    assert (len(result.train), len(result.dev), len(result.eval)) == (12600, 250, 250)
    assert (result.dev[0], result.dev[-1], result.eval[0], result.eval[-1]) == ("u12600", "u12849", "u12850", "u13099")
    assert result.table() == "kept 13100: train 12600, dev 250, eval 250; dropped 0"


@settings(max_examples=60, deadline=None)
@given(total=st.integers(3, 400), seed=st.randoms(use_true_random=False))
def test_sets_are_disjoint_whole_and_independent_of_order(total, seed):
    rows = utterances(total)
    result = split(rows, LIMITS)
    assert [*result.train, *result.dev, *result.eval] == [u.id for u in rows]
    assert len(result.dev) == len(result.eval) and result.train
    seed.shuffle(rows)
    assert split(rows, LIMITS) == result


def test_each_speaker_gives_a_share_as_large_as_his_own():
    rows = [
        Utterance(f"{speaker}{n:04d}", Path("/x"), "text", speaker, 2.0)
        for speaker, count in (("anna", 600), ("ben", 300), ("carl", 3), ("dora", 2))
        for n in range(count)
    ]
    result = split(rows, LIMITS)
    for name, utterances_of in (("dev", result.dev), ("eval", result.eval)):
        speakers = [key[:-4] for key in utterances_of]
        assert {who: speakers.count(who) for who in sorted(set(speakers))} == {"anna": 12, "ben": 6, "carl": 1}, name
    assert result.eval[-1] == "carl0002" and {"dora0000", "dora0001"} <= set(result.train) and len(result.train) == 905 - 38


def test_dropping_moves_nobody_to_another_set():
    rows = utterances(50)
    rows[3] = Utterance("u00003", Path("/x"), "text", "lj", 11.0)
    rows[4] = Utterance("u00004", Path("/x"), "text", "lj", 0.4)
    rows[45] = Utterance("u00045", Path("/x"), "x" * 101, "lj", 2.0)
    result, whole = split(rows, LIMITS, dropped={"u00005": "silent"}), split(utterances(50), LIMITS)
    gone = {"u00003", "u00004", "u00005", "u00045"}
    for name in ("train", "dev", "eval"):
        assert getattr(result, name) == [key for key in getattr(whole, name) if key not in gone]
    assert result.table() == (
        "kept 46: train 17, dev 15, eval 14; dropped 4: silent 1 (u00005), too long 1 (u00003),"
        " too many characters 1 (u00045), too short 1 (u00004)"
    )


def test_limits_themselves_are_kept():
    rows = utterances(3)
    rows[0] = Utterance("u00000", Path("/x"), "x" * 100, "lj", 0.5)
    rows[1] = Utterance("u00001", Path("/x"), "x", "lj", 10.0)
    assert split(rows, LIMITS).dropped == {}


def test_lists_decide():
    result = split(utterances(5), LIMITS, ["u00000"], ["u00002", "u00001"])
    assert (result.train, result.dev, result.eval) == (["u00003", "u00004"], ["u00000"], ["u00001", "u00002"])
    with pytest.raises(DataError, match="share 1 ids: u00001"):
        split(utterances(5), LIMITS, ["u00001"], ["u00002", "u00001"])


def test_an_empty_set_is_an_error_with_the_reasons():
    with pytest.raises(DataError) as caught:
        split([Utterance(u.id, u.wav, u.text, u.speaker, 99.0) for u in utterances(5)], LIMITS)
    assert "no utterance left for train, dev, eval" in str(caught.value)
    assert "dropped 5: too long 5 (u00000, u00001, u00002, ...)" in str(caught.value)
    with pytest.raises(DataError, match="no utterance left for dev: .*silent 1"):
        split(utterances(5), LIMITS, dropped={"u00003": "silent"})
    with pytest.raises(DataError, match="three utterances at least, got 2"):
        split(utterances(2), LIMITS)


@pytest.fixture
def extracted(tmp_path):
    """A directory as the extraction leaves it: one utterance has no features, with a reason, another without one."""
    rows = utterances(20)
    kaldi.write(tmp_path / "dump", rows)
    done = [u.id for u in rows if u.id not in ("u00001", "u00002")]
    for name, value in (("feats.scp", "/x y.ark:1"), ("utt2num_frames", "160"), ("f0.scp", "/f.ark:2")):
        kaldi.write_map(tmp_path / "dump" / name, dict.fromkeys([*done, "u00000"], value))
    kaldi.write_map(tmp_path / "dump/dropped", {"u00001": "silent"})
    return tmp_path / "dump"


def test_directories_are_written_whole(extracted, tmp_path):
    result = write_split(extracted, tmp_path / "out", LIMITS)
    assert result.dropped == {"silent": ["u00001"], "no features": ["u00002"]}
    for name, size in (("train", 10), ("dev", 4), ("eval", 4)):
        folder = tmp_path / "out" / name
        assert [u.id for u in kaldi.read(folder)] == getattr(result, name)
        for extra in ("feats.scp", "utt2num_frames", "f0.scp"):
            assert len(kaldi.read_map(folder / extra)) == size
        assert sorted(p.name for p in folder.iterdir()) == sorted([*kaldi.FILES, "feats.scp", "utt2num_frames", "f0.scp"])


def test_lists_in_the_directory_decide(extracted, tmp_path):
    (extracted / "dev.list").write_text("u00004\n")
    (extracted / "eval.list").write_text("u00003\nu00005\n")
    result = write_split(extracted, tmp_path / "out", LIMITS)
    assert (result.dev, result.eval) == (["u00004"], ["u00003", "u00005"])
    (extracted / "eval.list").write_text("nobody\n")
    with pytest.raises(DataError, match=r"eval.list:1: no utterance of this corpus, got 'nobody'"):
        write_split(extracted, tmp_path / "out", LIMITS)


def test_a_directory_without_features_is_refused(tmp_path):
    kaldi.write(tmp_path / "data", utterances(5))
    with pytest.raises(DataError, match="feats.scp: no such file"):
        write_split(tmp_path / "data", tmp_path / "out", LIMITS)
    assert not (tmp_path / "out").exists()


def test_the_verb_reads_the_limits_of_a_configuration(extracted, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    preset = Path(__file__).parents[2] / "recipes/ljspeech/conf/mini.yaml"
    arguments = ["--data", str(extracted), "--out", str(tmp_path / "out"), "--config", str(preset)]
    assert verb.run(parser.parse_args(arguments)) == 0
    assert capsys.readouterr().out.startswith("kept 18: train 10, dev 4, eval 4; dropped 2: no features 1 (u00002), silent 1 (u00001)")
    with pytest.raises(DataError, match="too long 18"):
        verb.run(parser.parse_args([*arguments, "--set", "limits.max_seconds=1"]))
