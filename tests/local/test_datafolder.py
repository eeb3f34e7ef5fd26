"""The data folder: one instance at a time, and nothing deleted that is not ours."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.datafolder import MARKER, DataFolder
from services.local.errors import CannotStart


def test_a_second_instance_is_told_who_has_the_folder(tmp_path: Path) -> None:
    with DataFolder(tmp_path), pytest.raises(CannotStart) as refused, DataFolder(tmp_path):
        pass
    assert str(refused.value) == f"data folder {tmp_path} is in use by another tierline (pid {os.getpid()})"
    assert refused.value.exit_code == 2


def test_the_folder_is_free_again_after_kill_9_of_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from services.local.datafolder import DataFolder\n"
        "with DataFolder(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(CannotStart, match=f"in use by another tierline .pid {holder.pid}."), DataFolder(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
    with DataFolder(tmp_path):
        pass


def test_a_later_start_keeps_the_data(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "new") as folder:
        folder.kafka.mkdir()
    with DataFolder(tmp_path / "new") as folder:
        assert folder.kafka.is_dir()


def test_fresh_empties_the_folder_and_spares_what_links_lead_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    data = tmp_path / "data"
    with DataFolder(data) as folder:
        (folder.kafka / "log").mkdir(parents=True)
        folder.postgres.symlink_to(elsewhere)
        (data / "link").symlink_to(elsewhere)
    with DataFolder(data, fresh=True):
        assert [entry.name for entry in data.iterdir()] == [MARKER]
    assert (elsewhere / "precious").exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_files_of_somebody_else_is_left_alone(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CannotStart, match="not a data folder") as refused, DataFolder(tmp_path, fresh=fresh):
        pass
    assert refused.value.exit_code == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_fresh_does_not_empty_a_folder_in_use(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        folder.kafka.mkdir()
        with pytest.raises(CannotStart, match="in use"), DataFolder(tmp_path, fresh=True):
            pass
        assert folder.kafka.is_dir()


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match="cannot be used") as refused, DataFolder(tmp_path / "file"):
        pass
    assert "\n" not in str(refused.value)
