"""What a mirror sends is the pinned file or it is an error: wrong bytes, short, missing, silent, or slow."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from enclave_compute.image.debian import apt, download, mirror
from enclave_compute.image.debian.cache import cache_folder, made_whole
from enclave_compute.image.debian.errors import GoneError, MirrorError
from enclave_compute.image.debian.lock import PinnedFile
from enclave_compute.image.debian.mirror import fetch
from tests.debian_archives import pinned

CONTENT = b"what was pinned" * 1000
FILE = pinned(CONTENT)


class Mirror(BaseHTTPRequestHandler):
    """Answers with `sent`, or with an error status."""

    sent: ClassVar[dict[str, bytes]] = {}
    status: ClassVar[int] = 200
    silence_s: ClassVar[float] = 0.0
    promised_bytes: ClassVar[int | None] = None
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:  # the name is http.server's
        self.asked.append(self.path)
        content = self.sent.get(self.path)
        if content is None or self.status != 200:
            self.send_error(404 if content is None else self.status)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.promised_bytes or len(content)))
        self.end_headers()
        half = len(content) // 2
        try:
            self.wfile.write(content[:half])
            self.wfile.flush()
            time.sleep(self.silence_s)
            self.wfile.write(content[half:])
        except OSError:
            pass  # nobody listens any more

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mirror]]:
    handler = type("Served", (Mirror,), {"sent": {f"/debian/{FILE.path}": CONTENT}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(mirror.MIRROR_VARIABLE, f"http://127.0.0.1:{server.server_port}/debian/")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def got(cache: Path, *files: PinnedFile) -> dict[PinnedFile, Path]:
    return fetch(files or [FILE], say=lambda _: None, cache=cache)


def nothing_is_kept(cache: Path) -> bool:
    return not [path for path in (cache / "debian").rglob("*") if path.is_file()]


def test_a_pinned_file_is_fetched_once(served: type[Mirror], tmp_path: Path) -> None:
    first = got(tmp_path)[FILE]
    assert first.read_bytes() == CONTENT
    assert first.name == "bc_1.07.1-4_amd64.deb"
    assert got(tmp_path) == {FILE: first}
    assert served.asked == [f"/debian/{FILE.path}"]
    assert [path.name for path in (tmp_path / "debian").iterdir()] == [FILE.sha256]


def test_a_damaged_copy_is_fetched_again(served: type[Mirror], tmp_path: Path) -> None:
    got(tmp_path)[FILE].write_bytes(CONTENT.swapcase())
    assert got(tmp_path)[FILE].read_bytes() == CONTENT
    assert len(served.asked) == 2


@pytest.mark.parametrize("sent", [CONTENT.swapcase(), CONTENT[:-1], CONTENT + b"!", b""], ids=len)
def test_other_bytes_are_refused(served: type[Mirror], tmp_path: Path, sent: bytes) -> None:
    served.sent = {f"/debian/{FILE.path}": sent}
    with pytest.raises(MirrorError, match=f"expected {len(CONTENT)} and {FILE.sha256}"):
        got(tmp_path)
    assert nothing_is_kept(tmp_path)


def test_no_more_is_read_than_one_byte_over_the_pinned_size(served: type[Mirror], tmp_path: Path) -> None:
    served.sent = {f"/debian/{FILE.path}": CONTENT * 100}
    with pytest.raises(MirrorError, match=f"got {len(CONTENT) + 1} bytes"):
        got(tmp_path)


def test_an_answer_that_breaks_off_is_refused(served: type[Mirror], tmp_path: Path) -> None:
    served.sent = {f"/debian/{FILE.path}": CONTENT[:-10]}
    served.promised_bytes = len(CONTENT)
    with pytest.raises(MirrorError):
        got(tmp_path)
    assert nothing_is_kept(tmp_path)


def test_a_version_that_debian_dropped_is_named_with_what_to_do(served: type[Mirror], tmp_path: Path) -> None:
    served.sent = {}
    with pytest.raises(
        GoneError, match=r"no pool/main/b/bc/bc_1\.07\.1-4_amd64\.deb .*bc 1\.07\.1-4"
    ) as raised:
        got(tmp_path)
    hint = raised.value.hint or ""
    assert "Debian drops a version" in hint
    assert "DEBIAN_MIRROR" in hint
    assert "make image-lock" in hint


def test_a_mirror_in_trouble_is_not_taken_for_one_without_the_file(
    served: type[Mirror], tmp_path: Path
) -> None:
    served.status = 503
    with pytest.raises(MirrorError, match="answers 503") as raised:
        got(tmp_path)
    assert not isinstance(raised.value, GoneError)


def test_a_silent_mirror_is_given_up(served: type[Mirror], tmp_path: Path) -> None:
    served.silence_s = 2.0
    url = f"{os.environ[mirror.MIRROR_VARIABLE]}{FILE.path}"
    with pytest.raises(MirrorError, match="timed out"):
        download.download(url, tmp_path / "x", limit_bytes=len(CONTENT), silence_s=0.2)


def test_a_slow_mirror_is_given_up(
    served: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.silence_s = 0.5
    monkeypatch.setattr(download, "SLOWEST_BYTES_PER_S", len(CONTENT) * 1000)
    clock = iter(range(0, 100_000, 50))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    url = f"{os.environ[mirror.MIRROR_VARIABLE]}{FILE.path}"
    with pytest.raises(MirrorError, match="too slow"):
        download.download(url, tmp_path / "x", limit_bytes=len(CONTENT), silence_s=60)


@pytest.mark.parametrize("base", ["file:///etc", "ftp://example.org/debian", "debian"])
def test_a_mirror_is_reached_by_http_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv(mirror.MIRROR_VARIABLE, base)
    with pytest.raises(MirrorError, match="not a mirror's URL"):
        got(tmp_path)


def test_without_any_mirror_the_next_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(apt, "HELPER", str(tmp_path / "no-apt-here"))
    with pytest.raises(MirrorError, match="no Debian mirror") as raised:
        got(tmp_path)
    assert "set DEBIAN_MIRROR" in (raised.value.hint or "")


def test_apt_leaves_out_what_is_gone_and_fetches_the_rest(served: type[Mirror], tmp_path: Path) -> None:
    """The machine's own apt, where there is one, against a mirror of ours."""
    if not Path(apt.HELPER).exists():
        assert apt.debian_base() is None
        return
    base = os.environ[mirror.MIRROR_VARIABLE]
    there, gone = tmp_path / "there", tmp_path / "gone"
    apt.download({f"{base}{FILE.path}": (there, FILE.sha256), f"{base}pool/gone.deb": (gone, "0" * 64)})
    assert there.read_bytes() == CONTENT
    assert not gone.exists()
    served.sent = {f"/debian/{FILE.path}": CONTENT.swapcase()}
    with pytest.raises(MirrorError, match="apt could not fetch"):
        apt.download({f"{base}{FILE.path}": (tmp_path / "other", FILE.sha256)})


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CONCORDAT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "concordat"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "concordat"
    monkeypatch.setenv("CONCORDAT_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


def test_half_a_build_is_never_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), made_whole(tmp_path / "built") as fresh:
        (fresh / "first").touch()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):  # the second time somebody was faster
        with made_whole(tmp_path / "built") as fresh:
            (fresh / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["built"]
    assert [path.name for path in (tmp_path / "built").iterdir()] == ["whole"]
