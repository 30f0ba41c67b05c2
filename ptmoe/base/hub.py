"""Finds a base model's files: a folder, or a snapshot of the Hugging Face Hub with its full commit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ptmoe.config.project import PACKAGE
from ptmoe.runtime.errors import BaseModelError
from ptmoe.runtime.files import sha256_of

LOCAL = "local"
TOKENIZER_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
_UNUSED_FILES = ["*/*", "consolidated*", "*.index.json.bak"]


def find_folder(name: str, revision: str, with_code: bool = False) -> tuple[Path, str]:
    """Returns the folder that holds a base model, and its commit (`local` for a folder of one's own).

    A Hub model is downloaded where the cache does not have it; without a connection the cache alone is used.

    Args:
        name: a folder or a Hub id.
        revision: a branch, tag or commit; not used for a folder.
        with_code: whether Python files belong to the model (`trust_remote_code`).

    Raises:
        BaseModelError: there is no such model, no access to it, or no connection and no copy in the cache.
    """
    if folder := local_folder(name):
        return folder, LOCAL
    snapshot = _snapshot(name, revision, ["*.safetensors", *TOKENIZER_FILES, *(["*.py"] if with_code else [])])
    return snapshot, snapshot.name


def local_folder(name: str) -> Path | None:
    """Returns the folder of that name, or None; `ptmoe/...` also means a folder inside this package."""
    places = [Path(name)] if name else []
    if name.startswith("ptmoe/"):
        places.append(PACKAGE.parent / name)
    return next((path for path in places if path.is_dir()), None)


def find_config(name: str, revision: str) -> Path:
    """Returns where a base model's config.json is, given that file, a folder or a Hub id; raises as `find_folder`."""
    if folder := local_folder(name):
        return folder
    if Path(name).is_file() or name.endswith(".json"):
        return Path(name)
    return _snapshot(name, revision, ["config.json"]) / "config.json"


def _snapshot(name: str, revision: str, files: list[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    what = f"base model {name} at revision {revision}"
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=files, ignore_patterns=_UNUSED_FILES))
    except errors.HFValidationError:
        raise BaseModelError(f"base {name!r} is neither a folder here nor a Hub id (owner/name)") from None
    except errors.GatedRepoError:
        raise BaseModelError(
            f"{what} is gated: accept its licence at https://huggingface.co/{name}, then run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise BaseModelError(
            f"{what} is not on the Hub; check its name, or `hf auth login` for a private one"
        ) from None
    except errors.RevisionNotFoundError:
        raise BaseModelError(f"{what}: the Hub has no such revision; check base.revision") from None
    except OSError as error:
        raise BaseModelError(
            f"{what} cannot be reached and is not in the Hub cache ({type(error).__name__}); go online, unset "
            f"HF_HUB_OFFLINE, copy the cache (HF_HOME) from a machine that has it, or give a local folder"
        ) from None


def fingerprint(folder: Path) -> str:
    """Returns the SHA-256 over config.json and weights; the same files give the same value in any folder.

    Raises:
        BaseModelError: the folder lacks a config.json or safetensors weights.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file():
        raise BaseModelError(f"{folder} has no config.json; give the folder of a Hugging Face model")
    if not weights:
        raise BaseModelError(
            f"{folder} has no *.safetensors; save the model with save_pretrained (pickled weights are not read)"
        )
    digest = hashlib.sha256()
    for path in (folder / "config.json", *weights):
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()
