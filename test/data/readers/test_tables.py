"""Tables: rows are read as they are, or refused by line; and ids of recordings that have none."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.data import corpus
from toolkit.data.readers import Findings, Table
from toolkit.data.readers.base import ids_of
from toolkit.errors import DataError

Write = Callable[[Path, str], Path]

words = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], blacklist_characters="\ufeff"), min_size=1, max_size=8)
fields = st.lists(words, min_size=1, max_size=3).map(" ".join)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=5), delimiter=st.sampled_from("|\t;"))
def test_rows_of_a_table_are_read_as_they_are_or_refused_by_line(tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str) -> None:
    source = tmp_path / "list.txt"
    source.write_text("".join(f"{delimiter.join(row)}\n" for row in rows), encoding="utf-8", newline="")
    findings = Findings()
    found = list(Table(delimiter=delimiter).recordings(source, findings))
    good = [(number, row) for number, row in enumerate(rows, 1) if not any(delimiter in value for value in row)]
    assert [(r.line, r.wav, r.speaker, r.text) for r in found] == [(n, tmp_path / row[0], row[1], row[2]) for n, row in good]
    if len(good) < len(rows):
        with pytest.raises(DataError) as caught:
            findings.raise_all()
        said = str(caught.value).splitlines()
        assert [int(line.removeprefix(f"{source}:").partition(":")[0]) for line in said] == sorted(
            set(range(1, len(rows) + 1)) - {number for number, _ in good}
        )
        assert all(f"a {delimiter!r} inside the text?" in line for line in said)
    else:
        assert not findings


def test_a_table_of_nvidia_with_too_few_columns_says_what_it_expected(tmp_path: Path, write: Write) -> None:
    source = write(tmp_path / "list.txt", "a.wav|hello\n|ben|hello\n")
    with pytest.raises(DataError) as caught:
        corpus.read(source, "x")
    assert str(caught.value).splitlines() == [
        f"{source}:1: expected 3 columns (file|speaker|text), found 2, got 'a.wav|hello'",
        f"{source}:2: nothing in column 'file' of file|speaker|text, got '|ben|hello'",
    ]


def test_ids_take_as_many_folders_as_tell_files_apart() -> None:
    assert ids_of([Path("x/a.wav"), Path("x/b.wav")]) == ["a", "b"]
    assert ids_of([Path("x/1/a.wav"), Path("x/2/a.wav"), Path("x/2/b.c.wav")]) == ["1-a", "2-a", "2-b.c"]
    assert len(set(ids_of([Path("a.wav"), Path("a.wav")]))) == 1
