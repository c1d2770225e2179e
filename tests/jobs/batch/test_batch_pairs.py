"""Which files make pairs."""

from __future__ import annotations

import pytest

from zncc_cli.config.batch import BatchConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.jobs.batch.pairs import Pair, find_pairs


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for name in names:
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / name).write_bytes(b"x")
        return tmp_path / "in"

    return make


def found(source, **options):
    pairs = find_pairs(BatchConfig(source=source, out=source.parent / "out", **options))
    root = source if source.is_dir() else source.parent
    return [(p.name, p.problem or tuple(one.removeprefix(f"{root}/") for one in (p.fixed, p.moving))) for p in pairs]


def by_channel(source, pattern="{id}_ch{channel}.tif", where="channel=0"):
    return found(source, pattern=pattern, fixed_where=where)


def test_a_pattern_aligns_each_channel_to_the_fixed_one(folder):
    source = folder("b_ch0.tif", "b_ch1.tif", "a_ch0.tif", "a_ch1.tif", "a_ch2.tif", "notes.txt", ".a_ch3.tif")
    assert by_channel(source) == [
        ("a_ch1", ("a_ch0.tif", "a_ch1.tif")),
        ("a_ch2", ("a_ch0.tif", "a_ch2.tif")),
        ("b_ch1", ("b_ch0.tif", "b_ch1.tif")),
    ]


def test_a_pattern_goes_down_into_folders_and_so_do_the_names(folder):
    source = folder("A1/s1_w1.tif", "A1/s1_w2.tif", "B1/s1_w1.tif", "B1/s1_w2.tif", "B1/deep/s1_w2.tif")
    assert by_channel(source, "{well}/{site}_w{wave}.tif", "wave=1") == [
        ("A1/s1_w2", ("A1/s1_w1.tif", "A1/s1_w2.tif")),
        ("B1/s1_w2", ("B1/s1_w1.tif", "B1/s1_w2.tif")),
    ]


def test_a_field_that_occurs_twice_matches_the_same_text(folder):
    source = folder("A/A_0.tif", "A/A_1.tif", "A/B_1.tif")
    assert [name for name, _ in by_channel(source, "{well}/{well}_{c}.tif", "c=0")] == ["A/A_1"]


def test_several_conditions_choose_one_fixed_image(folder):
    source = folder("t0_z0.tif", "t0_z1.tif", "t1_z0.tif")
    assert [name for name, _ in by_channel(source, "t{t}_z{z}.tif", "t=0, z=0")] == ["t0_z1", "t1_z0"]


def test_a_file_without_a_partner_is_a_pair_with_a_problem(folder):
    source = folder("a_ch1.tif", "b_ch0.tif")
    rows = dict(by_channel(source))
    assert rows["a_ch1"] == "expected a file of id=a with channel=0, found none"
    assert rows["b_ch0"] == "expected a file beside b_ch0.tif without channel=0, found none"


def test_a_condition_that_no_image_meets_is_an_error(folder):
    with pytest.raises(
        InputError, match=r"channel=9, found none among 2 images such as a_ch0.tif; check --fixed-where"
    ):
        by_channel(folder("a_ch0.tif", "a_ch1.tif"), where="channel=9")


def test_images_that_differ_only_in_their_suffix_keep_it_in_the_name(folder):
    source = folder("a_0.tif", "a_1.tif", "a_1.png")
    names = [name for name, _ in by_channel(source, "{id}_{c}.{kind}", "c=0,kind=tif")]
    assert names == ["a_1.png", "a_1.tif"]


def test_no_two_pairs_have_the_same_name(folder):
    """A name that an image keeps whole may be that of another one without its suffix."""
    names = ["a.ome.png", "a.ome.tif", "a.ome.tif.png", "b.png", "b.tif", "b.tif.png", "b.tif.png.jpg"]
    source = folder(*names, "c.tif.png", "d.tif", "d.tif.png", "fixed.tif")
    expected = [*names, "c.tif", "d", "d.tif"]
    assert [name for name, _ in found(source, fixed=source / "fixed.tif")] == expected


@pytest.mark.parametrize(
    ("pattern", "where", "words"),
    [
        ("plain.tif", "a=1", "--pattern: expected names with fields"),
        ("{a}}.tif", "a=1", "--pattern: expected names with fields"),
        ("../{a}.tif", "a=1", "--pattern: expected a path below"),
        ("/{a}.tif", "a=1", "--pattern: expected a path below"),
        ("{a}.tif", "b=1", "--fixed-where: expected FIELD=VALUE"),
        ("{a}.tif", "a", "--fixed-where: expected FIELD=VALUE"),
        ("{a}.tif", "a=1,a=2", "--fixed-where: expected each field once"),
    ],
)
def test_patterns_that_make_no_sense_are_refused(folder, pattern, where, words):
    with pytest.raises(OptionError, match=words):
        by_channel(folder("1.tif"), pattern, where)


def test_options_that_conflict_or_lack_another_are_refused(folder):
    source = folder("a.tif")
    for options, word in (
        ({"pattern": "{a}.tif"}, "`fixed_where`"),
        ({"fixed_where": "a=1"}, "`pattern`"),
        ({"pattern": "{a}", "fixed_where": "a=1", "fixed": source}, "`fixed`"),
        ({"resume": True, "overwrite": True}, "`overwrite`"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "`scheduler`"),
        ({"shard": "0/3"}, "`shard`"),
        ({"shard": "4/3"}, "`shard`"),
        ({"retries": -1}, "`retries`"),
        ({"timeout": float("nan")}, "`timeout`"),
        ({"write": "alined"}, "`write`"),
    ):
        with pytest.raises(OptionError, match=word):
            found(source, **options)


def test_pairs_are_found_by_the_endings_before_any_suffix(folder):
    source = folder(
        "a_fixed.tif", "a_moving.png", "b_fixed.ome.tif", "b_moving.ome.tif", "c_fixed.OME.TIFF", "note.tif"
    )
    (source / "c_moving.ome.zarr").mkdir()
    assert found(source) == [
        ("a", ("a_fixed.tif", "a_moving.png")),
        ("b", ("b_fixed.ome.tif", "b_moving.ome.tif")),
        ("c", ("c_fixed.OME.TIFF", "c_moving.ome.zarr")),
    ]


def test_every_image_of_a_folder_is_aligned_to_one(folder):
    source = folder("a.ome.tif", "b.tif", "b.png", "fixed.tif")
    (source / "ref.zarr").mkdir()
    (source / "dangling.tif").symlink_to("nothing")
    names = ["a", "b.png", "b.tif", "dangling"]
    assert [name for name, _ in found(source, fixed=source / "fixed.tif")] == [*names, "ref"]
    assert [name for name, _ in found(source, fixed=source / "ref.zarr")] == sorted([*names, "fixed"])
    with pytest.raises(InputError, match="expected an image for --fixed, found none"):
        found(source, fixed=source)


def table(tmp_path, text):
    (tmp_path / "pairs.csv").write_bytes(text.encode())
    return tmp_path / "pairs.csv"


def test_a_table_has_paths_relative_to_itself_and_perhaps_names(tmp_path):
    source = table(tmp_path, "\ufeffmoving,name,fixed\r\nx/b.tif,plate/1,a.tif\r\n\r\nx/c.tif,,a.tif\r\n")
    assert found(source) == [("c", ("a.tif", "x/c.tif")), ("plate/1", ("a.tif", "x/b.tif"))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "columns a, b"),
        ("fixed;moving\na;b\n", "separate the columns by commas"),
        ("", "an empty file"),
        ("fixed,moving\n", "a table without pairs"),
        ("fixed,moving\na.tif\n", "an empty cell in line 2"),
        ("fixed,moving\na.tif,b.tif\na.tif,x/b.tif\n", "'b' again in line 3"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        found(table(tmp_path, text))


def test_what_is_not_there_is_asked_for_as_a_folder_or_a_table(tmp_path):
    with pytest.raises(InputError, match=r"nodir: expected a folder of images, or a table \(CSV\).* nothing there"):
        find_pairs(BatchConfig(source=tmp_path / "nodir", out=tmp_path / "out"))


def test_a_table_is_refused_together_with_options_of_a_folder(tmp_path):
    with pytest.raises(OptionError, match=r"--fixed: expected with a folder, got .*pairs.csv"):
        found(table(tmp_path, "fixed,moving\na,b\n"), fixed=tmp_path)


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc", "a/../b", ".hidden", "batch.csv", "manifest-1-of-2.jsonl", "a//b"]
)
def test_a_name_never_leads_out_of_the_output_folder(tmp_path, name):
    ((_, problem),) = found(table(tmp_path, f"name,fixed,moving\n{name},a,b\n"))
    assert "expected a name for a folder" in problem


def test_the_shard_of_a_pair_does_not_depend_on_other_pairs(folder):
    names = [f"{n}_{side}.tif" for n in range(40) for side in ("fixed", "moving")]
    source = folder(*names)
    shards = [[name for name, _ in found(source, shard=f"{i}/3")] for i in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(map(str, range(40)))
    assert all(5 <= len(shard) <= 25 for shard in shards)
    folder("new_fixed.tif", "new_moving.tif")
    later = [[name for name, _ in found(source, shard=f"{i}/3") if name != "new"] for i in (1, 2, 3)]
    assert later == shards


def test_a_pair_is_a_plain_tuple():
    assert Pair("a") == ("a", "", "", "")
