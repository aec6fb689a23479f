"""Tables are read whole, by their header, or refused by the line that is wrong."""

from pathlib import Path

import numpy as np
import pytest

from mutual.base.columns import header_of, integers, numbers, read_columns, table_of, write_table
from mutual.base.errors import InputError

HEADER = ["file", "pid", "camid"]
ROWS = b"a/1.jpg,2,1\nb/2.jpg,-1,3\n"


def table(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_columns_of_a_table_with_the_line_ends_of_any_system(tmp_path: Path, end: bytes) -> None:
    path = table(tmp_path, b"file,pid,camid\n".replace(b"\n", end) + ROWS.replace(b"\n", end))
    assert read_columns(path, HEADER) == [["a/1.jpg", "b/2.jpg"], ["2", "-1"], ["1", "3"]]
    assert read_columns(path, HEADER, ["camid", "file"]) == [["1", "3"], ["a/1.jpg", "b/2.jpg"]]


def test_further_columns_where_they_may_be(tmp_path: Path) -> None:
    path = table(tmp_path, b"file,pid,camid,date\na,1,2,monday\nb,3,4,\n")
    assert read_columns(path, HEADER, ["camid"], longer=True) == [["2", "4"]]
    assert read_columns(table(tmp_path, b"file,pid,camid\na,1,2\n"), HEADER, ["file"], longer=True) == [["a"]]
    for content, line in ((b"file,pid,camid,date\na,1,2\n", 2), (b"file,pid\na,1\n", 1), (b"file,camid,pid,x\n", 1)):
        with pytest.raises(InputError, match=rf"line {line}: expected file,pid,camid, found"):
            read_columns(table(tmp_path, content), HEADER, longer=True)


def test_quoted_fields_and_names_that_are_no_utf8(tmp_path: Path) -> None:
    path = table(tmp_path, b'file,pid,camid\n"a,""1"".jpg",2,1\n\xff.jpg,3,1\n')
    assert read_columns(path, HEADER, ["file"]) == [['a,"1".jpg', "\udcff.jpg"]]


def test_a_table_without_rows_has_empty_columns(tmp_path: Path) -> None:
    assert read_columns(table(tmp_path, b"file,pid,camid\n"), HEADER) == [[], [], []]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            b"file,pid,camid\na/1.jpg,2,1\na/2.jpg,2,1",
            "line 3: expected a line end after the last row: the file is cut",
        ),
        (b"file,pid,camid", "line 1: expected a line end after the last row: the file is cut"),
        (b"", "empty, expected the header file,pid,camid"),
        (ROWS, "line 1: expected file,pid,camid, found ['a/1.jpg', '2', '1']"),
        (b"\xef\xbb\xbffile,pid,camid\n" + ROWS, "line 1: expected file,pid,camid"),
        ("file,pid,camid\n".encode("utf-16"), "line 1: expected file,pid,camid"),
        (b"file;pid;camid\n", "line 1: expected file,pid,camid, found ['file;pid;camid']"),
        (b"file,pid,camid\n\n" + ROWS, "line 2: expected file,pid,camid, found []"),
        (b"file,pid,camid\n" + ROWS + b"c", "line 4: expected file,pid,camid, found ['c']"),
        (b"file,pid,camid\na,1,2,3\n", "line 2: expected file,pid,camid, found ['a', '1', '2', '3']"),
        (b"file,pid,camid\na\x00,1,2\n", "line 2: expected file,pid,camid"),
        (b'file,pid,camid\n"a,1,2\n' + ROWS, "line 4: expected file,pid,camid: "),
        (b"file,pid,camid\n" + b"x" * 200_000 + b",1,2\n", "line 2: expected file,pid,camid: field larger"),
    ],
)
def test_other_tables_are_refused_by_the_line(tmp_path: Path, content: bytes, fault: str) -> None:
    path = table(tmp_path, content)
    with pytest.raises(InputError) as refused:
        read_columns(path, HEADER)
    message = str(refused.value)
    assert message.startswith(f"{path}: {fault}")
    assert message.isprintable()


def test_whole_numbers_of_64_bits() -> None:
    texts = ["0", "-1", "007", str(2**63 - 1), str(-(2**63))]
    found = integers(Path("a.csv"), "pid", texts)
    assert found.dtype == np.int64
    assert found.tolist() == [0, -1, 7, 2**63 - 1, -(2**63)]
    assert integers(Path("a.csv"), "pid", []).shape == (0,)


@pytest.mark.parametrize(
    "text", ["", "1.5", "abc", "nan", "+1", " 1", "1_000", "1e3", "٣", str(2**63), "9" * 5000, "--1", "1\n"]
)
def test_what_is_no_whole_number_is_refused_by_its_row(text: str) -> None:
    with pytest.raises(InputError, match=r"^a\.csv: pid of row 2: expected whole numbers, found ") as refused:
        integers(Path("a.csv"), "pid", ["1", text, "x"])
    assert len(str(refused.value)) <= 200


def test_what_is_below_the_least_is_refused() -> None:
    assert integers(Path("a.csv"), "cluster", ["-1", "5"], least=-1).tolist() == [-1, 5]
    with pytest.raises(InputError, match=r"^a\.csv: cluster of row 2: expected whole numbers from -1, found '-7'$"):
        integers(Path("a.csv"), "cluster", ["-1", "-7"], least=-1)


def test_what_is_above_the_most_is_refused() -> None:
    assert integers(Path("t.csv"), "cluster", ["-1", "4"], least=-1, most=4).tolist() == [-1, 4]
    with pytest.raises(InputError, match=r"t\.csv: cluster of row 2: expected whole numbers from -1 to 4, found '5'"):
        integers(Path("t.csv"), "cluster", ["0", "5"], least=-1, most=4)


def test_the_header_of_a_table_that_is_not_known_before(tmp_path: Path) -> None:
    assert header_of(table(tmp_path, b'a,"b,c"\r\n1,2\r\n')) == ["a", "b,c"]
    assert header_of(table(tmp_path, b"")) == []
    with pytest.raises(InputError, match=r"table\.csv: line 1: expected a header"):
        header_of(table(tmp_path, b'a,"b'))


def test_numbers_and_empty_fields() -> None:
    found = numbers(Path("a.csv"), "loss", ["1", "-0.25", "1e-5", "", "2.5E+10"])
    np.testing.assert_array_equal(found, [1, -0.25, 1e-5, np.nan, 2.5e10])


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "abc", " 1", "1_0", "٣", "9" * 5000, "1,5"])
def test_what_is_no_finite_number_is_refused_by_its_row(text: str) -> None:
    with pytest.raises(InputError, match=r"^a\.csv: loss of row 1: expected a finite number, found "):
        numbers(Path("a.csv"), "loss", [text])


def test_a_table_is_read_back_whatever_its_texts(tmp_path: Path) -> None:
    texts = ["a.jpg", "a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", "\r", " a ", "é", "\udcff", "", "'a'"]
    write_table(tmp_path / "table.csv", ["file", "row"], zip(texts, range(len(texts)), strict=True))
    assert read_columns(tmp_path / "table.csv", ["file", "row"]) == [texts, [str(i) for i in range(len(texts))]]
    assert table_of(["file", "row"], [("a.jpg", 1), ("a b.jpg", 2)]) == b"file,row\na.jpg,1\na b.jpg,2\n"
