"""The set-up step that builds NLTK's data: its line format, its guarded unpickler, whole or nothing."""

import importlib.metadata
import importlib.util
import os
import pickle
from pathlib import Path

import pytest

from toolkit.text.pronunciation import load_dictionary


@pytest.fixture(scope="module")
def maker():
    path = Path(__file__).parents[2] / "tools/make_nltk_data.py"
    spec = importlib.util.spec_from_file_location("make_nltk_data", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lines(maker, tmp_path):
    source = [";;; comment\n", "\n", "read R EH1 D\n", "read(2) R IY1 D # verb\n", "a.m. EY2 EH1 M\n"]
    lines = list(maker.nltk_lines(source))
    assert lines == ["READ 1 R EH1 D\n", "READ 2 R IY1 D\n", "A.M. 1 EY2 EH1 M\n"]
    (tmp_path / "cmudict").write_text("".join(lines))
    assert load_dictionary(tmp_path / "cmudict") == {"READ": "R EH1 D", "A.M.": "EY2 EH1 M"}


def test_a_pickle_that_calls_anything_is_refused(maker, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    (tmp_path / "plain").write_bytes(pickle.dumps(({"a": 1}, {"b"})))
    (tmp_path / "bomb").write_bytes(pickle.dumps(Bomb()))
    with open(tmp_path / "plain", "rb") as file:
        assert maker.PlainUnpickler(file).load() == ({"a": 1}, {"b"})
    with open(tmp_path / "bomb", "rb") as file, pytest.raises(pickle.UnpicklingError, match="which plain data do not need"):
        maker.PlainUnpickler(file).load()
    assert not (tmp_path / "made").exists()


def test_install_is_whole_and_mends_damage(maker, tmp_path):
    for package in ("cmudict", "textblob-aptagger"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs the package {package}")
    assert not maker.valid(tmp_path)
    maker.install(tmp_path)
    assert maker.valid(tmp_path) and not list(tmp_path.glob(".making*"))
    dictionary = tmp_path / maker.DICTIONARY
    content = dictionary.read_bytes()
    dictionary.write_bytes(content[: len(content) // 2])
    assert not maker.valid(tmp_path)
    maker.install(tmp_path)
    assert dictionary.read_bytes() == content


def test_a_missing_package_is_one_line(maker):
    with pytest.raises(SystemExit, match="error: no-such-package is not installed; pip install"):
        maker.packaged_file("no-such-package", ".pickle")
