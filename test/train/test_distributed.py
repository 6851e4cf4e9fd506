"""The result does not depend on how many processes share the micro-batches."""

import pytest

from toolkit.errors import ConfigError
from toolkit.train.distributed import Processes

TRAIN = """
process = Processes.start("cpu")
for name in ("whole", "resumed"):
    trainer(folder / name, TinyTask().double(), process, **in_float64(), max_steps=6).run()
process.stop()
"""
FAIL = """
process = Processes.start("cpu")
data = TinyData(10)
if process.rank == 1:
    del data.frames[5:]
try:
    trainer(folder, None, process, train=data).run()
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
    os._exit(3)
"""


def test_two_processes_give_the_losses_of_one_and_resume_what_it_began(tiny, tmp_path):
    tiny.trainer(tmp_path / "one", tiny.Task().double(), **tiny.in_float64(), max_steps=6).run()
    tiny.trainer(tmp_path / "resumed", tiny.Task().double(), **tiny.in_float64(), max_steps=3).run()
    for exit_code, output in tiny.processes(tmp_path, TRAIN, processes=2):
        assert exit_code == 0, output
    for name in ("whole", "resumed"):
        trained = [row for row in tiny.metrics(tmp_path / name) if row.pop("split") == "train"]
        expected = [row for row in tiny.metrics(tmp_path / "one") if row.pop("split") == "train"]
        assert [row["step"] for row in trained] == [1, 2, 3, 4, 5, 6]
        for row, other in zip(trained, expected, strict=True):
            assert row == pytest.approx(other, rel=1e-8)
        assert tiny.metrics(tmp_path / name)[-1]["loss"] == pytest.approx(tiny.metrics(tmp_path / "one")[-1]["loss"], rel=1e-8)


def test_a_failure_in_one_process_ends_both_and_is_named(tiny, tmp_path):
    (first, said_first), (second, said_second) = tiny.processes(tmp_path, FAIL, {"TOOLKIT_TIMEOUT": "5"}, processes=2)
    assert (first, second) == (3, 3)
    assert "DataError step" in said_second
    assert "utt0" in said_second
    assert "TrainingError process 0 of 2, step" in said_first
    assert "utterances utt" in said_first


@pytest.mark.parametrize(("world", "nearest"), [(3, 2), (5, 4), (8, 4)])
def test_processes_that_do_not_divide_the_micro_batches_are_refused(world, nearest):
    with pytest.raises(ConfigError, match=f"got {world} processes; nearest: {nearest}"):
        Processes(0, world).mine(4)


def test_one_process_works_on_all_micro_batches():
    process = Processes()
    assert list(process.mine(3)) == [0, 1, 2]
    assert process.main
    assert process.most(4) == 4


def test_the_processes_share_all_micro_batches():
    shares = [list(Processes(rank, 2).mine(6)) for rank in range(2)]
    assert shares == [[0, 2, 4], [1, 3, 5]]


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="got 'tpu'"):
        Processes.start("tpu")
