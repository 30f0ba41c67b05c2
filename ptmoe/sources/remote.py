"""Files from the Hugging Face Hub and from URLs: complete, checked, and kept in a cache outside the project.

With HF_HUB_OFFLINE=1 in the environment only the caches are read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptmoe.runtime.errors import DataError
from ptmoe.runtime.files import sha256_of
from ptmoe.runtime.progress import Progress, say
from ptmoe.runtime.twins import only_one
from ptmoe.sources.registry import HubPlace

if TYPE_CHECKING:
    import requests

RETRIES = 3
TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 20
# Responses that a retry does not change.
_FINAL = {401: "needs a login", 403: "is forbidden", 404: "is not there", 410: "is gone", 451: "is blocked"}
_ADVICE = "check the connection, or set `mirror` to a folder that holds the files (docs/data.md)"


def offline() -> bool:
    """Whether the environment forbids to ask the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def fetch_hub(place: HubPlace) -> tuple[str, list[Path]]:
    """Gets the files of a data set on the Hub, or finds them in its cache; returns the full commit and the files.

    Raises:
        DataError: the repository, revision or a file is not there, or the Hub cannot be reached.
    """
    patterns = [file.path for file in place.files]
    snapshot = fetch_snapshot(place.hub, place.revision, patterns)
    files: list[Path] = []
    for pattern in patterns:
        found = sorted(snapshot.glob(pattern))
        if not found:
            advice = _ADVICE if offline() else "its layout has changed"
            raise DataError(f"{place.hub} at {place.revision}: no file matches {pattern}; {advice}")
        files += found
    if len(place.revision) != len(snapshot.name):
        moved = "" if snapshot.name.startswith(place.seen) else f"; it was checked at commit {place.seen}"
        say(f"  {place.hub}: {place.revision} is {snapshot.name}{moved}; write it into sources.yaml to freeze it")
    return snapshot.name, files


def fetch_snapshot(hub: str, revision: str, patterns: list[str]) -> Path:
    """Gets the files of a data set on the Hub that match a pattern; the folder's name is the full commit.

    Raises:
        DataError: the repository or revision is not there, or the Hub cannot be reached.
    """
    from huggingface_hub import errors, snapshot_download

    what = f"{hub} at {revision}"
    try:
        return Path(
            snapshot_download(
                hub, repo_type="dataset", revision=revision, allow_patterns=patterns, local_files_only=offline()
            )
        )
    except errors.RepositoryNotFoundError:
        raise DataError(f"{what}: no such data set on the Hub, or it needs `hf auth login`") from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{what}: the Hub has no such revision") from None
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError) as error:
        reason = "offline, and not in the Hub cache" if offline() else type(error).__name__
        raise DataError(f"{what} cannot be reached ({reason}); {_ADVICE}") from None


def cache_folder() -> Path:
    """Where files from URLs are kept: $PTMOE_CACHE, or the system's place for caches."""
    import pooch

    return Path(os.environ.get("PTMOE_CACHE") or pooch.os_cache("ptmoe"))


def fetch_url(url: str, name: str, sha256: str) -> Path:
    """Returns a file from the cache, where it is put first if need be; an interrupted transfer resumes.

    Of several processes that want one file the first gets it and the others wait; `sha256` is empty where unknown.

    Raises:
        DataError: the server refuses or cannot be reached, or its bytes are not those expected.
    """
    import pooch
    import requests

    key, folder = hashlib.sha256(url.encode()).hexdigest()[:12], cache_folder()
    cached = folder / f"{key}-{name}"
    if cached.is_file() and (not sha256 or sha256_of(cached) == sha256):
        return cached
    if offline():
        raise DataError(f"{url}: offline, and not in the cache {folder}; {_ADVICE}")
    known = {cached.name: f"sha256:{sha256}" if sha256 else None}
    shelf = pooch.create(folder, "", registry=known, urls={cached.name: url}, retry_if_failed=RETRIES)
    pooch.get_logger().setLevel("WARNING")
    resuming: Any = _Resuming(folder / f"{cached.name}.part")
    try:
        with only_one(f"the download of {url}", folder / f"{key}.lock", wait=True):
            return Path(shelf.fetch(cached.name, downloader=resuming))
    except requests.RequestException as error:
        raise DataError(f"{url} cannot be downloaded ({_reason(error)}) after {RETRIES + 1} tries; {_ADVICE}") from None
    except ValueError:
        raise DataError(f"{url}: its SHA-256 is not the one expected ({sha256}); {_ADVICE}") from None


def read_url(url: str) -> bytes:
    """Returns the bytes of a small file, which is not cached.

    Raises:
        DataError: the server refuses or cannot be reached.
    """
    import requests

    if offline():
        raise DataError(f"{url}: offline; set `mirror` to a folder instead of a URL")
    try:
        response = requests.get(url, timeout=TIMEOUT_S)
        response.raise_for_status()
    except requests.RequestException as error:
        raise DataError(f"{url} cannot be downloaded ({_reason(error)}); {_ADVICE}") from None
    return response.content


def _reason(error: requests.RequestException) -> str:
    return f"HTTP {error.response.status_code}" if error.response is not None else type(error).__name__


class _Resuming:
    """A downloader for pooch that keeps the part received before an interruption and continues from there.

    The server continues only for the same version of the file (`If-Range`); otherwise it sends all of it.
    """

    def __init__(self, part: Path) -> None:
        self._part = part
        self._tag_file = part.with_name(f"{part.name}.tag")

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        import requests
        import urllib3

        have = self._part.stat().st_size if self._part.is_file() and self._tag_file.is_file() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._tag_file.read_text(encoding="utf-8")}
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as response:
                self._refuse(url, response)
                self._write(url, response, have)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(f"the transfer broke off ({type(error).__name__})") from None
        self._tag_file.unlink(missing_ok=True)
        shutil.move(self._part, output_file)

    def _refuse(self, url: str, response: requests.Response) -> None:
        if response.status_code in _FINAL:
            raise DataError(f"{url} {_FINAL[response.status_code]} (HTTP {response.status_code}); {_ADVICE}")
        if response.status_code == 416:
            self._part.unlink(missing_ok=True)
        response.raise_for_status()
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DataError(f"{url} answers with a web page instead of the file (a login page?); {_ADVICE}")

    def _write(self, url: str, response: requests.Response, have: int) -> None:
        have = have if response.status_code == 206 else 0
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._tag_file.unlink(missing_ok=True)
        if tag := response.headers.get("ETag") or response.headers.get("Last-Modified"):
            self._tag_file.write_text(tag, encoding="utf-8")
        total = have + int(response.headers.get("Content-Length", 0))
        with (
            self._part.open("ab" if have else "wb") as file,
            Progress(f"Downloading {url.rpartition('/')[2]}", total >> 20, "MiB", have >> 20) as progress,
        ):
            # Raw bytes: a .gz that the server labels as encoded must not be unpacked on the way.
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                progress.advance(((have + len(chunk)) >> 20) - (have >> 20))
                have += len(chunk)
                file.write(chunk)
        with self._part.open("rb") as file:
            start = file.read(64).lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            self._part.unlink()
            self._tag_file.unlink(missing_ok=True)
            raise DataError(f"{url} answers with a web page instead of the file (a login page?); {_ADVICE}")
