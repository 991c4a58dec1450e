"""Files named by their address."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime.errors import SourceError
from realtime.sources.file_urls import local_path


def test_an_address_and_its_path_name_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "100% ü#1?.mp4"
    assert local_path(path.as_uri()) == path
    assert local_path(path.as_uri().replace("file://", "FILE://localhost")) == path
    assert local_path(str(path)) == path
    assert local_path(path) == path


def test_an_address_that_names_a_relative_path() -> None:
    assert local_path("file://clip.mp4") == Path("clip.mp4")
    assert local_path("file://./a%20b.mp4") == Path("a b.mp4")


def test_another_machine_is_refused() -> None:
    with pytest.raises(SourceError, match=r"another machine \(server\)"):
        local_path("file://server/clip.mp4")
