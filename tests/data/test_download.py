"""Downloads: from servers that misbehave, from mirrors and caches; never a half file taken for whole."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ptmoe.examples.download import download_task
from ptmoe.runtime.errors import DataError, ParamsError
from ptmoe.sources import fetch, remote
from ptmoe.sources import registry as sources
from ptmoe.sources.raw import raw_files, read_manifest
from ptmoe.sources.registry import HubPlace, RemoteFile, ShippedPlace, Source, UrlPlace
from tests.data.server import serving
from tests.data.support import data_params, real, write_lines

LINES = b"".join(b'{"question": "How many is %d?", "answer": "#### %d"}\n' % (n, n) for n in range(2000))
SHA256 = hashlib.sha256(LINES).hexdigest()


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("PTMOE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with serving() as site:
        yield site


@pytest.fixture
def known(monkeypatch):
    """Lets a test write its own sources.yaml."""
    entries: dict[str, Source] = {}
    monkeypatch.setattr(sources, "load_sources", lambda: entries)
    return entries


def gsm8k(*places, rows=2000):
    return Source(role="train", converter="gsm8k", licence="", datasets={"GSM8K": rows}, places=list(places))


def at(site, name="a.jsonl", sha256=SHA256):
    return UrlPlace(url=site.url, files=[RemoteFile(path=name, sha256=sha256)])


def get(tmp_path, mirror="none", **changes):
    data = data_params(**({"train": ["s"], "in_domain": []} | changes))
    download_task("t", data, mirror, tmp_path / "raw")
    return tmp_path / "raw" / "s"


def nothing_was_taken(tmp_path):
    folder = tmp_path / "raw" / "s"
    with pytest.raises(DataError, match=r"holds no complete download"):
        raw_files(folder)
    return not list(folder.iterdir())


def test_a_transfer_that_breaks_goes_on_where_it_stopped(tmp_path, site, known):
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"], site.cut["/a.jsonl"] = LINES, [30_000, 60_000]
    folder = get(tmp_path)
    assert (folder / "a.jsonl").read_bytes() == LINES
    assert [asked for _, asked in site.asked] == ["", "bytes=30000-", "bytes=60000-"]
    manifest = read_manifest(folder)
    assert manifest["files"] == [{"name": "a.jsonl", "bytes": len(LINES), "sha256": SHA256}]
    assert manifest["rows"] == {"GSM8K": 2000} and manifest["from"] == site.url


def test_a_transfer_that_always_breaks_is_an_error_and_a_later_run_goes_on(tmp_path, site, known):
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"], site.cut["/a.jsonl"] = LINES, [10_000] * 4
    with pytest.raises(
        DataError, match=r"cannot be downloaded \(ConnectionError\) after 4 tries; check the connection"
    ):
        get(tmp_path)
    assert nothing_was_taken(tmp_path)
    site.asked.clear()
    assert (get(tmp_path) / "a.jsonl").read_bytes() == LINES
    assert site.asked == [("/a.jsonl", "bytes=10000-")]


def test_two_processes_that_want_one_file_fetch_it_once(tmp_path, site):
    site.files["/a.jsonl"], site.cut["/a.jsonl"] = LINES, [30_000]
    code = "import sys; from ptmoe.sources.remote import fetch_url; print(fetch_url(*sys.argv[1:]))"
    asked = [sys.executable, "-c", code, f"{site.url}a.jsonl", "a.jsonl", SHA256]
    root = Path(__file__).parents[2]
    both = [subprocess.Popen(asked, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (Path(process.communicate()[0].strip()) for process in both)
    assert first == second and first.read_bytes() == LINES
    assert [part for _, part in site.asked] == ["", "bytes=30000-"]


@pytest.mark.parametrize(
    ("status", "message", "requests"),
    [(403, "is forbidden", 1), (404, "is not there", 1), (500, r"cannot be downloaded \(HTTP 500\) after 4 tries", 4)],
)
def test_refusals(tmp_path, site, known, status, message, requests):
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"], site.status["/a.jsonl"] = LINES, [status] * 4
    with pytest.raises(DataError, match=rf"{site.url}a.jsonl {message}.*set `mirror`"):
        get(tmp_path)
    assert nothing_was_taken(tmp_path) and len(site.asked) == requests


def test_a_server_that_recovers(tmp_path, site, known):
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"], site.status["/a.jsonl"] = LINES, [503, 500]
    assert (get(tmp_path) / "a.jsonl").read_bytes() == LINES


def test_wrong_bytes(tmp_path, site, known):
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"] = LINES.replace(b"7", b"8")
    with pytest.raises(DataError, match=r"its SHA-256 is not the one expected"):
        get(tmp_path)
    assert nothing_was_taken(tmp_path)
    assert not list((tmp_path / "cache").glob("*a.jsonl"))


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_instead_of_the_file(tmp_path, site, known, content_type):
    known["s"] = gsm8k(at(site, sha256=""))
    site.files["/a.jsonl"], site.content_type["/a.jsonl"] = b"\n<!DOCTYPE html><html>Please log in", content_type
    with pytest.raises(DataError, match=r"answers with a web page instead of the file"):
        get(tmp_path)
    assert nothing_was_taken(tmp_path) and not list((tmp_path / "cache").glob("*a.jsonl*"))


def test_the_next_place_is_tried_aloud(tmp_path, site, known, capsys):
    known["s"] = gsm8k(at(site, "gone.jsonl"), at(site, "short.jsonl", ""), at(site))
    site.files["/short.jsonl"], site.files["/a.jsonl"] = LINES[: LINES.index(b"\n") + 1], LINES
    folder = get(tmp_path)
    said = capsys.readouterr().out
    assert "gone.jsonl is not there (HTTP 404)" in said and "GSM8K: 1 rows, expected 2000" in said
    assert said.count("trying the next place") == 2
    assert [path.name for path in raw_files(folder)] == ["a.jsonl"]


def test_when_no_place_is_left_all_failures_are_named(tmp_path, site, known):
    known["s"] = gsm8k(at(site, "x.jsonl"), at(site, "y.jsonl"))
    with pytest.raises(DataError, match=r"(?s)no place of source s works:\n.*x.jsonl is not.*\n.*y.jsonl is not"):
        get(tmp_path)


def test_rows_that_are_not_those_of_the_paper_are_refused(tmp_path, site, known):
    known["s"] = gsm8k(at(site)).model_copy(update={"contains": "f(y) = y^4"})
    site.files["/a.jsonl"] = LINES
    with pytest.raises(DataError, match=r"s: no question holds 'f\(y\) = y\^4'"):
        get(tmp_path)
    known["s"] = gsm8k(at(site)).model_copy(update={"contains": "many is  1999?"})
    get(tmp_path)


def test_unexpected_columns_are_refused(tmp_path, site, known):
    known["s"] = gsm8k(at(site, "b.jsonl", ""))
    site.files["/b.jsonl"] = b'{"prompt": "x"}\n'
    with pytest.raises(DataError, match=r"b.jsonl has the keys prompt; the converter 'gsm8k' needs"):
        get(tmp_path)


def test_a_test_set_must_be_whole(tmp_path, site, known):
    known["s"] = gsm8k(at(site, "b.jsonl", ""), rows=2).model_copy(update={"role": "in-domain"})
    site.files["/b.jsonl"] = b'{"question": "a", "answer": "#### 1"}\n{"question": "b", "answer": "unknown"}\n'
    write_lines(tmp_path / "own.jsonl", [{"question": "q", "answer": "a"}])
    changes = {"train": ["own"], "in_domain": ["s"], "files": {"own": str(tmp_path / "own.jsonl")}}
    with pytest.raises(DataError, match=r"a test set must be whole.*no #### before the answer"):
        get(tmp_path, **changes)


def test_offline_reads_the_cache_alone(tmp_path, site, known, monkeypatch):
    known["s"] = gsm8k(at(site))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"offline, and not in the cache"):
        get(tmp_path)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    site.files["/a.jsonl"] = LINES
    get(tmp_path)
    site.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert (get(tmp_path) / "a.jsonl").read_bytes() == LINES and not site.asked


def test_hub_offline_and_not_cached(tmp_path, known, monkeypatch):
    known["s"] = gsm8k(HubPlace(hub="nobody/nothing-at-all", files=[RemoteFile(path="data/*.parquet")]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"nothing-at-all at main cannot be reached \(offline, and not in the Hub"):
        get(tmp_path)


def test_hub_revision_is_resolved_and_said(tmp_path, known, monkeypatch, capsys):
    commit = "a" * 40
    snapshot = tmp_path / "hub" / commit
    (snapshot / "main").mkdir(parents=True)
    (snapshot / "main" / "test.jsonl").write_bytes(LINES)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **kwargs: str(snapshot))
    place = HubPlace(hub="o/d", seen="bbbbbbb", files=[RemoteFile(path="main/test*.jsonl")])
    known["s"] = gsm8k(place)
    assert read_manifest(get(tmp_path))["from"] == f"o/d at {commit}"
    assert f"o/d: main is {commit}; it was checked at commit bbbbbbb; write it" in capsys.readouterr().out
    known["s"] = gsm8k(place.model_copy(update={"files": [RemoteFile(path="main/other*.jsonl")]}))
    with pytest.raises(DataError, match=r"o/d at main: no file matches main/other\*.jsonl"):
        get(tmp_path)


def test_a_shipped_file_is_copied_and_a_changed_one_refused(tmp_path, known, monkeypatch):
    monkeypatch.setattr(fetch, "SHIPPED", tmp_path)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.jsonl").write_bytes(LINES)
    known["s"] = gsm8k(ShippedPlace(shipped={"t/a.jsonl": SHA256}))
    folder = get(tmp_path)
    assert (folder / "a.jsonl").read_bytes() == LINES and read_manifest(folder)["from"] == "the package"
    (tmp_path / "t" / "a.jsonl").write_bytes(LINES + LINES)
    with pytest.raises(DataError, match=r"t/a.jsonl is missing or is not the file that sources.yaml lists"):
        get(tmp_path)
    assert nothing_was_taken(tmp_path)


@pytest.fixture
def filled(tmp_path, site, known):
    """A mirror made by copying what a download left."""
    known["s"] = gsm8k(at(site))
    site.files["/a.jsonl"] = LINES
    shutil.copytree(get(tmp_path), tmp_path / "mirror" / "s")
    shutil.rmtree(tmp_path / "cache")
    site.files.clear()
    return tmp_path / "mirror"


def test_a_mirror_folder(tmp_path, filled):
    assert (get(tmp_path, mirror=str(filled)) / "a.jsonl").read_bytes() == LINES
    (filled / "s" / "a.jsonl").write_bytes(LINES[:-5])
    with pytest.raises(DataError, match=r"a.jsonl is missing or is not the file that manifest.json lists"):
        get(tmp_path, mirror=str(filled))
    (filled / "s" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"mirror: a.jsonl is not the file that sources.yaml lists"):
        get(tmp_path, mirror=str(filled))
    with pytest.raises(DataError, match=r"mirror: .*does not exist"):
        get(tmp_path, mirror=str(tmp_path / "nowhere"))


def test_the_checksum_of_sources_yaml_wins_over_a_mirrors_manifest(tmp_path, filled, site):
    poisoned = LINES.replace(b"#### 7", b"#### 8")
    manifest = (filled / "s" / "manifest.json").read_bytes()
    (filled / "s" / "a.jsonl").write_bytes(poisoned)
    (filled / "s" / "manifest.json").write_bytes(
        manifest.replace(SHA256.encode(), hashlib.sha256(poisoned).hexdigest().encode())
    )
    site.files |= {f"/m/s/{path.name}": path.read_bytes() for path in (filled / "s").iterdir()}
    for mirror in (str(filled), f"{site.url}m"):
        with pytest.raises(DataError, match=r"mirror: a.jsonl is not the file that sources.yaml lists"):
            get(tmp_path, mirror=mirror)


def test_a_mirror_of_another_revision_of_the_hub(tmp_path, filled, site, known):
    """Nothing pins the bytes of files from the Hub, but a mirror says which commit it has."""
    file, manifest = RemoteFile(path="x.jsonl"), filled / "s" / "manifest.json"
    known["s"] = gsm8k(HubPlace(hub="owner/data", revision="a" * 40, files=[file]), at(site))
    whole = manifest.read_bytes()
    for origin, fits in ((f"owner/data at {'a' * 40}", True), (f"owner/data at {'b' * 40}", False), ("own", True)):
        manifest.write_bytes(whole.replace(site.url.encode(), origin.encode()))
        if fits:
            assert (get(tmp_path, mirror=str(filled)) / "a.jsonl").read_bytes() == LINES
            continue
        with pytest.raises(DataError, match=rf"mirror: .*/s holds {origin}, another revision than sources.yaml names"):
            get(tmp_path, mirror=str(filled))


def test_a_mirror_url(tmp_path, filled, site):
    site.files |= {f"/m/s/{path.name}": path.read_bytes() for path in (filled / "s").iterdir()}
    assert (get(tmp_path, mirror=f"{site.url}m/") / "a.jsonl").read_bytes() == LINES
    with pytest.raises(DataError, match=r"other/s/manifest.json cannot be downloaded \(HTTP 404\)"):
        get(tmp_path, mirror=f"{site.url}other")
    site.files["/m/s/manifest.json"] = b'{"files": [{"name": "../a", "sha256": "x"}]}'
    with pytest.raises(DataError, match=r"manifest.json is damaged"):
        get(tmp_path, mirror=f"{site.url}m")


def test_a_local_file_replaces_a_source_whatever_its_size(tmp_path, known, site, capsys):
    known["s"] = gsm8k(at(site))
    folder = get(tmp_path, files={"s": str(real("gsm8k/train.jsonl"))})
    assert read_manifest(folder)["rows"] == {"GSM8K": 7473}
    assert "not the published size (GSM8K: 7473 rows, expected 2000)" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"data.files.s: nowhere.jsonl does not exist; give a file or a folder"):
        get(tmp_path, files={"s": "nowhere.jsonl"})


def test_a_file_that_changes_after_the_download_is_noticed(tmp_path, filled):
    folder = get(tmp_path, mirror=str(filled))
    for changed in (LINES[:-100], LINES.replace(b"7", b"8")):
        (folder / "a.jsonl").write_bytes(changed)
        with pytest.raises(DataError, match=r"is missing or changed since the download"):
            raw_files(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ["mini_qa_trian"]}, r"data.train: unknown source 'mini_qa_trian'; did you mean mini_qa_train\?"),
        ({"train": ["gsm8k"]}, r"data.train: source 'gsm8k' is a test set \(role in-domain in sources.yaml\)"),
        ({"in_domain": ["metamath"]}, r"data.in_domain: source 'metamath' is a training set"),
        ({"out_of_domain": ["svamp", "svamp"]}, "source 'svamp' is listed twice"),
        ({"files": {"x": "x.jsonl"}}, "data.files.x: no list uses this source"),
    ],
)
def test_faults_of_the_source_lists(tmp_path, changes, message):
    with pytest.raises(ParamsError, match=message):
        download_task("t", data_params(**({"train": ["metamath"], "in_domain": ["gsm8k"]} | changes)), "none", tmp_path)


def test_sources_file_is_sound():
    found = sources.load_sources()
    assert {"mrqa_train", "mrqa_in_domain", "mrqa_out_of_domain", "metamath", "gsm8k", "svamp", "asdiv", "mawps"} < set(
        found
    )
    assert sum(found["mrqa_train"].datasets.values()) == 516819
    assert sum(found["mrqa_in_domain"].datasets.values()) == 58221
    assert sum(found["mrqa_out_of_domain"].datasets.values()) == 9633
    assert all(source.places for source in found.values())


def test_download_and_split_import_no_model_library():
    code = (
        "import sys, ptmoe.examples.download, ptmoe.splitting.split; "
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_offline_is_said_by_the_environment(monkeypatch):
    for value, expected in (("1", True), ("true", True), ("0", False), ("", False)):
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
        assert remote.offline() is expected


def test_rows_are_pinned_by_their_content_in_any_order(tmp_path, site, known):
    site.files["/a.jsonl"] = LINES
    site.files["/b.jsonl"] = b"\n".join(reversed(LINES.splitlines()))
    known["s"] = gsm8k(at(site, "a.jsonl", ""))
    found = read_manifest(get(tmp_path))["rows_sha256"]
    known["s"] = gsm8k(at(site, "b.jsonl", "")).model_copy(update={"rows_sha256": found})
    assert read_manifest(get(tmp_path))["rows_sha256"] == found
    site.files["/c.jsonl"] = LINES.replace(b'"#### 7"', b'"#### 8"')
    known["s"] = gsm8k(at(site, "c.jsonl", "")).model_copy(update={"rows_sha256": found})
    with pytest.raises(DataError, match=f"its rows have the SHA-256 .*, expected {found}"):
        get(tmp_path)


def test_the_shared_copy_of_mawps_is_the_one_that_is_pinned(tmp_path):
    files = {"mawps_llm_adapters": str(real("mawps/llm_adapters_test.json"))}
    data = data_params(train=["mini_math_train"], in_domain=[], out_of_domain=["mawps_llm_adapters"], files=files)
    download_task("math", data, "none", tmp_path)
    manifest = read_manifest(tmp_path / "mawps_llm_adapters")
    assert manifest["rows"] == {"MAWPS238": 238}
    assert manifest["rows_sha256"] == sources.load_sources()["mawps_llm_adapters"].rows_sha256
