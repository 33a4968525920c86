"""The data directory: whose it is, where it is by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmqgateway.config_sources import ConfigurationError
from rmqgateway.data_directory import DataDirectory, default_data_directory


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    directory = DataDirectory(str(tmp_path / "a" / "b"), "--data-dir")
    directory.prepare()
    assert oct((tmp_path / "a" / "b").stat().st_mode)[-3:] == "700"
    assert directory.store == str(tmp_path / "a" / "b" / "store")
    directory.prepare()


def test_a_relative_path_is_meant_from_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = DataDirectory("data", "--data-dir")
    monkeypatch.chdir("/")
    assert directory.path == str(tmp_path / "data")


def test_one_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        ConfigurationError, match=r"--data-dir: .* holds other files \(thesis.tex\) and no data of rmqgateway"
    ):
        DataDirectory(str(tmp_path), "--data-dir").prepare()
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("name", ["store", "tls", "lost+found"])
def test_ours_and_an_empty_file_system_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    DataDirectory(str(tmp_path), "--data-dir").prepare()


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="--data-dir: the data directory .*file.* cannot be used"):
        DataDirectory(str(tmp_path / "file" / "data"), "--data-dir").prepare()


def test_one_that_is_not_writable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # root, who may run this, may write everywhere
    with pytest.raises(ConfigurationError, match="is not writable for user .* name another: --data-dir"):
        DataDirectory(str(tmp_path), "--data-dir").prepare()


def test_what_is_made_for_another_user_is_given_to_him(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    DataDirectory(str(tmp_path / "a" / "b"), "--data-dir", 1234, 5678).prepare()
    assert given == [(str(tmp_path / "a"), 1234, 5678), (str(tmp_path / "a" / "b"), 1234, 5678)]


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert default_data_directory({}) == "/home/me/.local/share/rmqgateway"
    assert default_data_directory({"XDG_DATA_HOME": "/data"}) == "/data/rmqgateway"
    assert default_data_directory({"XDG_DATA_HOME": "relative"}) == "/home/me/.local/share/rmqgateway"


def test_another_user_s_is_in_his_home() -> None:
    import pwd

    other = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.getuid())
    assert default_data_directory({"XDG_DATA_HOME": "/mine"}, other.pw_uid).startswith(other.pw_dir)
