from pathlib import Path

import pytest

from xmpress.data.files import atomic_dir, atomic_path, sha256
from xmpress.errors import DataError, UsageError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".csv"
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder .*nowhere does not exist"):
        atomic_path(tmp_path / "nowhere" / "out.csv").__enter__()


def test_a_folder_without_permission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(DataError, match="no permission to write"):
        atomic_path(tmp_path / "out.csv").__enter__()
    with pytest.raises(DataError, match="no permission to write"):
        atomic_dir(tmp_path / "out").__enter__()


def test_a_folder_is_not_a_file_and_a_file_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a folder"):
        atomic_path(tmp_path).__enter__()
    with pytest.raises(DataError, match="is a file"):
        atomic_dir(tmp_path / "file").__enter__()


def test_a_directory_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "model"
    with atomic_dir(target) as temporary:
        (temporary / "config.json").write_text("{}")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["config.json"]
    with pytest.raises(ValueError, match="stop"), atomic_dir(tmp_path / "b") as temporary:
        (temporary / "config.json").write_text("{}")
        raise ValueError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_directory_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    with atomic_dir(target) as temporary:  # empty: nothing is lost
        (temporary / "old").write_text("")
    with pytest.raises(UsageError, match="not empty"):
        atomic_dir(target).__enter__()
    with atomic_dir(target, overwrite=True) as temporary:
        (temporary / "new").write_text("")
    assert [p.name for p in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
