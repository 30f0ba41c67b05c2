"""A run's inputs from outside the project: the base model and the sources of every task."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ptmoe.base.gguf import SUFFIX, read_gguf
from ptmoe.base.hub import local_folder
from ptmoe.checks.machine import Check
from ptmoe.config.params import BaseParams, Params, TableParams
from ptmoe.runtime.errors import BaseModelError, PtmoeError
from ptmoe.sources.registry import HubPlace, RemoteFile, ShippedPlace, UrlPlace, Use, uses

TIMEOUT_S = 10


def base_check(base: BaseParams) -> tuple[Check, Path | None]:
    """Looks for the base model; returns the folder of its config where it is on this machine."""
    try:
        found, config = _find_base(base)
        return Check("base model", "ok", found), config
    except PtmoeError as error:
        return Check("base model", "missing", str(error)), None


def _find_base(base: BaseParams) -> tuple[str, Path | None]:
    if folder := local_folder(base.name):
        needed = ("config.json", "*.safetensors", "tokenizer*")
        if absent := [pattern for pattern in needed if not list(folder.glob(pattern))]:
            raise BaseModelError(f"{folder} has no {', '.join(absent)}; give a Hugging Face model")
        return str(folder), folder
    if base.name.endswith(SUFFIX):
        file = Path(base.name)
        return f"{file}, a GGUF file of architecture {read_gguf(file).architecture}", file
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        cached = Path(snapshot_download(base.name, revision=base.revision, local_files_only=True))
        if list(cached.glob("*.safetensors")):
            return f"{base.name} is in the Hub cache", cached
    except HFValidationError:
        raise BaseModelError(f"{base.name!r} is neither a folder nor a Hub id (owner/name)") from None
    except LocalEntryNotFoundError:
        pass
    try:
        HfApi().auth_check(base.name)
        commit = HfApi().model_info(base.name, revision=base.revision, timeout=TIMEOUT_S).sha
    except HfHubHTTPError as error:
        advice = f"accept its licence at https://huggingface.co/{base.name} and run `hf auth login`"
        raise BaseModelError(f"{base.name}: {type(error).__name__}; {advice}") from None
    except Exception as error:  # any failure of the network is reported, not raised
        advice = "go online, copy the Hub cache (HF_HOME), or set base.name to a local folder"
        raise BaseModelError(f"{base.name} cannot be reached ({type(error).__name__}); {advice}") from None
    return f"{base.name} at {commit} can be downloaded", None


def method_checks(params: Params, config: Path | None) -> Iterator[Check]:
    """Checks whether each method fits the base model's sizes."""
    if config is None:
        yield Check("methods", "warning", "not checked against the base model, whose config is not on this machine yet")
        return
    from ptmoe.base.geometry import Geometry
    from ptmoe.tuning.registry import load_method, method_params

    geometry = Geometry.from_config(config)
    for name in params.grid.methods:
        try:
            method = load_method(name)
            block = method_params(name, params.method(name))
            method.check(block, geometry)
            yield Check(name, "ok", f"{method.count(block, geometry):,} trainable parameters")
        except PtmoeError as error:
            yield Check(name, "missing", str(error))


def source_checks(params: Params) -> Iterator[Check]:
    """Looks for every source of every task."""
    for task in params.grid.tasks:
        try:
            for use in uses(params.profile.data[task]):
                yield source_check(task, use, params.profile.mirror)
        except PtmoeError as error:
            yield Check(task, "missing", str(error))


def source_check(task: str, use: Use, mirror: str) -> Check:
    """Looks for one source at its places, in order."""
    what = f"{task}: {use.name}"
    if isinstance(use.local, TableParams) and use.local.revision:
        place = HubPlace(hub=use.local.path, revision=use.local.revision, files=[RemoteFile(path="README.md")])
        use = replace(use, local="", source=use.source.model_copy(update={"places": [place]}))
    if use.local:
        path = use.local if isinstance(use.local, str) else use.local.path
        there = Path(path).exists()
        return Check(what, "ok" if there else "missing", path if there else f"{path} does not exist")
    if mirror != "none" and "://" not in mirror:
        there = (Path(mirror) / use.name).exists()
        return Check(what, "ok" if there else "missing", f"{mirror}/{use.name}{'' if there else ' does not exist'}")
    failures = []
    for place in use.source.places:
        if isinstance(place, ShippedPlace):
            return Check(what, "ok", "ships with the project")
        where, look = _looking_at(place)
        try:
            look()
            return Check(what, "ok", where)
        except Exception as error:  # after any failure of the network the next place is tried, and the reason kept
            failures.append(f"{where}: {type(error).__name__}")
    return Check(what, "missing", f"{'; '.join(failures)}; go online or set `mirror` to a folder that holds the files")


def _looking_at(place: HubPlace | UrlPlace) -> tuple[str, Callable[[], object]]:
    if isinstance(place, UrlPlace):
        url = place.address(place.files[0])
        request = urllib.request.Request(url, method="HEAD")
        return url, lambda: urllib.request.urlopen(request, timeout=TIMEOUT_S)
    from huggingface_hub import HfApi, try_to_load_from_cache

    def look() -> None:
        cached = try_to_load_from_cache(place.hub, place.files[0].path, revision=place.revision, repo_type="dataset")
        if not isinstance(cached, str):
            HfApi().dataset_info(place.hub, revision=place.revision, timeout=TIMEOUT_S)

    return f"{place.hub} on the Hub", look
