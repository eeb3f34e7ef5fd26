"""The bookmark in the data folder."""

from pathlib import Path

import pytest

from services.demo.bookmark import FILE, Bookmark, open_bookmark
from services.local.errors import MISUSED, CannotStart


def test_a_new_folder_begins_with_todays_shift(tmp_path: Path):
    assert open_bookmark(tmp_path, shift_days=7, sample=10) == Bookmark(shift_days=7, sample=10)


def test_the_first_starts_shift_stays(tmp_path: Path):
    bookmark = open_bookmark(tmp_path, shift_days=7, sample=1)
    bookmark.advance(100, [(0, 5), (3, 9), (0, 4)])
    bookmark.save(tmp_path)
    kept = open_bookmark(tmp_path, shift_days=8, sample=1)
    assert kept == Bookmark(shift_days=7, sample=1, acknowledged=100, reached={0: 5, 3: 9})
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_another_sample_in_the_same_folder_is_misuse(tmp_path: Path):
    Bookmark(shift_days=7, sample=10).save(tmp_path)
    with pytest.raises(CannotStart, match="--sample 10") as raised:
        open_bookmark(tmp_path, shift_days=7, sample=1)
    assert raised.value.exit_code == MISUSED


def test_a_bookmark_that_cannot_be_read_is_said_so(tmp_path: Path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(CannotStart, match="--fresh"):
        open_bookmark(tmp_path, shift_days=7, sample=1)
