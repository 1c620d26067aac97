"""A labels.csv beside pictures: paths are taken as they are written, and nothing is guessed."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from test_class_folders import make, refusal, sizes, told

from databases.datasets.archives import Folder
from databases.datasets.label_table import arrange_by_table
from databases.datasets.loading import load_task
from databases.datasets.task import TEST

NBSP = "\u00a0"  # what pages and spreadsheets leave behind words


def table(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8-sig")
    return root


def rows(files: int, *, head: str = "file,class", form: str = "{i}.png,{name}") -> str:
    return "\n".join([head, *(form.format(i=i, name="dog" if i % 2 else "cat") for i in range(files)), ""])


@pytest.mark.parametrize(
    "text",
    [
        rows(10),
        rows(10, head="filename;label", form="{i}.png;{name}"),
        rows(10, head="id,label", form="{i},{name}"),
        rows(10, head="path,x,class", form="pictures/{i}.png,1,{name}"),
        rows(10, form="./{i}.png,{name}"),
        rows(10, form="pictures/../pictures/{i}.png,{name}"),
        rows(10, form="pictures\\{i},{name}"),
        rows(10, head="sep=;\r\nfile;class", form="{i}.png;{name}"),
        rows(10, head='"sep=|"\nfile|class', form="{i}.png|{name}"),
        rows(10, head="SEP=\t\n\nfile\tclass", form="{i}.png\t{name}"),
        rows(10, head="\n \n;;\nfile;x;class", form="{i}.png;1,2;{name}"),
        rows(10, head="file, class", form="{i}.png , {name}"),
        rows(10) + "  \n,\n , \n",
    ],
)
def test_a_table_of_labels_beside_the_pictures_tells_the_classes(tmp_path: Path, text: str) -> None:
    make(tmp_path, "pictures", count=10)
    task = load_task(table(tmp_path, text), as_stored=True)
    assert task.class_names == ("cat", "dog") and task.labels.tolist() == [0, 1] * 5
    assert "took the classes of 10 pictures from 'labels.csv'" in told(task)


def test_a_table_within_the_data_names_what_lies_beside_its_folder(tmp_path: Path) -> None:
    make(tmp_path, "a/pictures", "b/pictures", count=10)
    (tmp_path / "tables").mkdir()
    text = "".join(f"../{c}/pictures/{i}.png,{c}\n" for c in "ab" for i in range(10))
    table(tmp_path / "tables", f"file,class\n{text}")
    assert load_task(tmp_path, as_stored=True).labels.tolist() == [0] * 10 + [1] * 10


def test_a_name_that_unicode_writes_in_two_ways_is_found(tmp_path: Path) -> None:
    make(tmp_path, unicodedata.normalize("NFD", "épines"), count=10)
    assert load_task(table(tmp_path, rows(10, form="épines/{i}.png,{name}"))).class_names == ("cat", "dog")


def test_a_table_may_tell_the_parts_too(tmp_path: Path) -> None:
    make(tmp_path, ".", count=10)
    text = "file,class,split\n" + "".join(f"{i}.png,{'ab'[i % 2]},{'test' if i > 7 else 'train'}\n" for i in range(10))
    assert sizes(load_task(table(tmp_path, text))) == [6, 2, 2]


def test_without_parts_in_the_table_folders_tell_them(tmp_path: Path) -> None:
    make(tmp_path / "one", "train", "test", count=10)
    text = "".join(f"{part}/{i}.png,{'ab'[i % 2]}\n" for part in ("train", "test") for i in range(10))
    task = load_task(table(tmp_path / "one", f"file,class\n{text}"))
    assert sizes(task) == [8, 2, 10] and "took the folders 'test', 'train' as parts" in told(task)
    make(tmp_path / "two", "valid", "invalid", count=10)  # by which nothing is meant but classes
    text = "".join(f"{name}/{i}.png,{name}\n" for name in ("valid", "invalid") for i in range(10))
    assert sizes(load_task(table(tmp_path / "two", f"file,class\n{text}"))) == [12, 4, 4]


def test_an_empty_part_tells_nothing_so_folders_do_and_what_is_left_is_noted(tmp_path: Path) -> None:
    make(tmp_path / "one", "train", "test", count=10)
    told_of = {f"train/{i}.png": "val" for i in range(3)}
    names = [f"{part}/{i}.png" for part in ("train", "test") for i in range(10)]
    text = "".join(f"{name},{'ab'[i % 2]},{told_of.get(name, '')}\n" for i, name in enumerate(names))
    task = load_task(table(tmp_path / "one", f"file,class,part\n{text}"))
    assert sizes(task) == [7, 3, 10] and "took the folders 'test', 'train' as parts of 17 pictures" in told(task)
    text = "".join(f"{name},{'ab'[i % 2]},\n" for i, name in enumerate(names))
    assert sizes(load_task(table(tmp_path / "one", f"file,class,part\n{text}"))) == [8, 2, 10], "as without the column"
    make(tmp_path / "two", ".", count=10)
    text = "".join(f"{i}.png,{'ab'[i % 2]},{'test' if i > 7 else ''}\n" for i in range(10))
    task = load_task(table(tmp_path / "two", f"file,class,part\n{text}"))
    assert sizes(task) == [6, 2, 2] and "took 8 pictures for training, of which no table tells a part" in told(task)


def numbered(part: str, head: str, form: str, *, count: int = 10) -> str:
    return "\n".join([head, *(form.format(i=i, name="ab"[i % 2], part=part) for i in range(count)), ""])


def test_where_one_table_tells_parts_folders_tell_those_of_another(tmp_path: Path) -> None:
    told_by_table = numbered("train", "file,class,split", "{i}.png,{name},{part}")
    for place, others in (("one", ("train", "test")), ("two", ("first", "test"))):
        root = make(tmp_path / place, *others, count=10)
        table(root / others[0], told_by_table)
        table(root / "test", numbered("", "file,class", "{i}.png,{name}"))
        task = load_task(root)
        assert sizes(task) == [8, 2, 10] and "took the folders 'test' as parts of 10 pictures" in told(task)
    root = make(tmp_path / "three", "my_test/a", "my_test/b", count=10)  # where all lie in what is called a test
    table(root / "my_test" / "a", told_by_table)
    table(root / "my_test" / "b", numbered("", "file,class", "{i}.png,{name}"))
    assert sizes(load_task(root)) == [12, 4, 4]


def test_two_tables_of_the_same_files_complete_each_other(tmp_path: Path) -> None:
    make(tmp_path, "x", count=10)
    table(tmp_path, numbered("", "file,class", "x/{i}.png,{name}"))
    text = "file,class,split,group\n" + "".join(
        f"{i}.png,{'ab'[i % 2]},{'test' if i > 7 else 'train'},g{i // 2}\n" for i in range(10)
    )
    table(tmp_path / "x", text)
    task = load_task(tmp_path)
    assert int((task.parts == TEST).sum()) == 2 and "in 5 groups" in told(task)
    table(tmp_path / "x", text.replace("test", "tset"))
    assert "whose x/labels.csv in line 10 has the part 'tset'" in refusal(tmp_path)
    table(tmp_path / "x", text + "0.png,a,test,g0\n")
    message = refusal(tmp_path)
    assert "whose x/labels.csv in lines 2 and 12 has two parts for 'x/0.png'" in message


def test_many_tables_are_told_in_few_words(tmp_path: Path) -> None:
    folders = [f"d{i}" for i in range(12)]
    make(tmp_path, *folders, count=4)
    for folder in folders:
        table(tmp_path / folder, numbered("", "file,class,label", "{i}.png,{name},x", count=4))
    notes = told(load_task(tmp_path))
    assert "from 'd0/labels.csv', 'd1/labels.csv', 'd2/labels.csv', ..." in notes and "d7" not in notes
    assert notes.count("took the column 'class' for the class, not 'label'") == 1


def test_columns_are_known_by_their_plurals_and_others_are_told(tmp_path: Path) -> None:
    make(tmp_path, "x", count=10)
    rows = [f"{i}.png,{'ab'[i % 2]},{'test' if i > 7 else 'train'},g{i // 2},{i}" for i in range(10)]
    table(tmp_path / "x", "\n".join(["file,class,parts,patient_id,age", *rows]))
    task = load_task(tmp_path)
    assert int((task.parts == TEST).sum()) == 2 and "in 5 groups" in told(task)
    assert "did not look at the columns 'age' of the table" in told(task)


def test_a_file_below_a_good_table_that_is_no_table_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, "x", "y", count=10)
    table(tmp_path / "x", numbered("", "file,class", "{i}.png,{name}"))
    (tmp_path / "y" / "labels.csv").write_bytes(b"\xff\xfe\x00")
    assert "y/labels.csv, which cannot be read as a table" in refusal(tmp_path)  # it may be all that tells of y
    table(tmp_path, "".join(["file,class\n", *(f"{c}/{i}.png,{'ab'[i % 2]}\n" for c in "xy" for i in range(10))]))
    task = load_task(tmp_path)
    assert "ignored 1 table that cannot be read as CSV in UTF-8: 'y/labels.csv'" in told(task)
    assert "in no class folder" not in told(task) and len(task.labels) == 20


def test_all_tables_are_read(tmp_path: Path) -> None:
    make(tmp_path, "train", "test", count=20)
    for part in ("train", "test"):
        table(tmp_path / part, rows(20))
    task = load_task(tmp_path)
    assert sizes(task) == [16, 4, 20] and "from 'test/labels.csv', 'train/labels.csv'" in told(task)
    table(tmp_path, "file,class\ntrain/1.png,cat\n")
    assert "in line 3, with line 2 of labels.csv, has two classes for 'train/1.png'" in refusal(tmp_path)


def test_a_column_that_might_have_been_meant_is_told_and_one_that_is_there_twice_refused(tmp_path: Path) -> None:
    make(tmp_path, ".", count=10)
    text = rows(10, head="image,category,label", form="{i}.png,animal,{name}")
    task = load_task(table(tmp_path, text))
    assert task.class_names == ("cat", "dog") and "the column 'label' for the class, not 'category'" in told(task)
    assert "the column 'class' is there twice" in refusal(table(tmp_path, rows(10, head="file,class,class")))
    text = rows(10, head="file,x,class,x", form="{i}.png,1,{name},2")
    assert load_task(table(tmp_path, text)).class_names == ("cat", "dog")  # which nobody reads


def of_parts(part: str) -> str:
    return "file,class,part\n" + "".join(f"{i}.png,{'ab'[i % 2]},{part}\n" for i in range(10))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows(10) + "1.png,cat\n", "two classes for '1.png'"),
        (of_parts("train") + "1.png,b,test\n", "in lines 3 and 12 has two parts for '1.png'"),
        (rows(8), "lists 8 of 10 pictures, not '8.png', '9.png'"),
        (rows(20), "names 10 files that are no pictures"),
        (rows(10) + "lost.png,emu\n", "the class 'emu', of which no picture can be read"),
        (rows(10, form="{i}.png,"), "line 2 has no class"),
        (rows(10) + "1.png\n", "line 12 has 1 cell,"),
        ("sep=,\n\n" + rows(10) + "1.png\n", "line 14 has 1 cell, line 3 has 2"),
        ("\n" + rows(10, form="{i}.png,"), "line 3 has no class"),
        (rows(10, form="../{i}.png,{name}"), "line 2 names '../0.png', which leads out of the folder"),
        (rows(10, form="a/../../{i}.png,{name}"), "line 2 names 'a/../../0.png', which leads out"),
        (rows(10, form="/home/me/{i}.png,{name}"), "'/home/me/0.png', which leads out"),
        (rows(10, form="C:\\me\\{i}.png,{name}"), "'C:/me/0.png', which leads out"),
        (rows(10, form="{i}.PNG,{name}"), "where there is '0.png', and 0 that are"),
        (rows(10, form="x\\{i}.jpg,{name}"), "where there is '0.png', and 0 that are"),
        (rows(10, form="x{i},{i}.png,{name}"), "line 2 has 3 cells, line 1 has 2); allowed is CSV in UTF-8, each line"),
        (rows(10, form="elsewhere/{i}.png,{name}"), "names 10 files that are no pictures there"),
    ],
)
def test_a_table_of_labels_that_cannot_be_right_is_refused(tmp_path: Path, text: str, words: str) -> None:
    make(tmp_path, ".", count=10)
    assert words in refusal(table(tmp_path, text))


def test_another_table_changes_nothing_and_its_name_is_advised(tmp_path: Path) -> None:
    make(tmp_path / "a", "cat", "dog")
    task = load_task(table(tmp_path / "a", "x,y\n1,2\n"))
    assert task.class_names == ("cat", "dog") and "took no classes from 'labels.csv'" in told(task)
    make(tmp_path / "b", ".")
    for text in ("file|class\n0.png|cat\n", "sep=;\n" + rows(5), "", "\n"):
        assert "give the labels.csv there a first line with" in refusal(table(tmp_path / "b", text))
    (tmp_path / "b" / "labels.csv").unlink()
    assert "put a labels.csv with the columns file and class beside them" in refusal(tmp_path / "b")
    assert "save the table 'train.csv' (columns file, class) as labels.csv with the columns file" in refusal(
        table(tmp_path / "b", rows(5), name="train.csv")
    )


def test_spaces_around_a_name_count_where_files_differ_by_them_and_never_make_a_class(tmp_path: Path) -> None:
    make(tmp_path, ".", count=10)
    (tmp_path / "9.png").rename(tmp_path / " 3.png")
    text = "".join(f"{i}.png,b\n" for i in range(9))
    text = f"file,class\n{text} 3.png,a\n 4.png,b\n"
    files = Folder(table(tmp_path, text))
    names = [name for name in files.names if name.endswith(".png")]
    found = arrange_by_table(files, ["labels.csv"], names, [], given="these")
    assert found is not None and [each.file for each in found.pictures if each.label == "a"] == [" 3.png"]
    assert len(found.pictures) == 10
    (tmp_path / " 3.png").rename(tmp_path / "9.png")
    lines = (f" {i}.png ,{' b' if i % 2 else 'a'}{NBSP * (i % 3 == 2)}" for i in range(10))
    task = load_task(table(tmp_path, "file,class\n" + "\n".join(lines)))
    assert task.class_names == ("a", "b") and "differ in spaces around them alone as one: 'a', 'b'" in told(task)


def test_a_path_from_the_top_of_the_disk_may_lead_into_the_data(tmp_path: Path) -> None:
    data = make(tmp_path / "data", "x", count=10)
    (tmp_path / "link").symlink_to(data)
    for given in (data, tmp_path / "link"):
        table(data, rows(10, form=f"{given}/x/{{i}}.png,{{name}}"))
        assert load_task(given, as_stored=True).labels.tolist() == [0, 1] * 5
    table(data, rows(10, form=f"{tmp_path}/{{i}}.png,{{name}}"))
    assert "which leads out of the folder" in refusal(data)
    table(data, rows(10, form=f"{data}/{{i}}.png,{{name}}"))  # where no file lies
    assert "names 10 files that are no pictures" in refusal(data)
    table(data, rows(10, form="x/{i}.png,{name}"))
    groups = "".join(f"{data}/x/{i}.png,g{i // 2}\n" for i in range(10))
    table(tmp_path, f"file,group\n{groups}", name="groups.csv")
    assert "in 5 groups" in told(load_task(data, groups=tmp_path / "groups.csv"))


def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(make(tmp_path, "x", count=10), rows(10))

    def read(self: Folder, name: str, *, most: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Folder, "read", read)
    assert "whose labels.csv cannot be read (Permission denied)" in refusal(tmp_path)


def test_names_that_stand_for_no_label_or_for_several_are_told(tmp_path: Path) -> None:
    make(tmp_path, ".", count=12)
    names = ("a", "b", "a|b", "NaN", "c, d", "x+y")
    text = "file;class\n" + "".join(f"{i}.png;{names[i % 6]}\n" for i in range(12))
    notes = told(load_task(table(tmp_path, text)))
    assert "the class 'NaN' may stand for missing labels" in notes
    assert "the class 'a|b' may be several labels of one image" in notes
