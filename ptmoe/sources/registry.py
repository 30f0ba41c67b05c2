"""The entries of sources.yaml, and the sources that a task uses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptmoe.config.faults import suggestion
from ptmoe.config.params import DataParams, TableParams, read_yaml
from ptmoe.runtime.errors import DataError, ParamsError

SOURCES_FILE = Path(__file__).with_name("sources.yaml")

Domain = Literal["in-domain", "out-of-domain"]
Role = Literal["train", "in-domain", "out-of-domain"]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(_Entry):
    """A file of a place.

    Attributes:
        path: below the place, or a whole URL; on the Hub it may hold `*`.
        sha256: empty where it was not known in advance.
        name: what to call the file where the path's last part is no name.
    """

    path: str
    sha256: Sha256 = ""
    name: str = ""

    @property
    def file_name(self) -> str:
        return self.name or self.path.rpartition("/")[2]


class HubPlace(_Entry):
    """Files of a data set on the Hugging Face Hub; `seen` is the start of the commit at which it was checked."""

    hub: str
    revision: str = "main"
    seen: str = ""
    files: Annotated[list[RemoteFile], Field(min_length=1)]


class UrlPlace(_Entry):
    """Files below one URL."""

    url: str
    files: Annotated[list[RemoteFile], Field(min_length=1)]

    def address(self, file: RemoteFile) -> str:
        """Returns the whole URL of a file."""
        return file.path if "://" in file.path else f"{self.url.rstrip('/')}/{file.path}"


class ShippedPlace(_Entry):
    """Files that ship with the project, below ptmoe/sources/mini, and the SHA-256 of each."""

    shipped: Annotated[dict[str, Sha256], Field(min_length=1)]


Place = HubPlace | UrlPlace | ShippedPlace


class Source(_Entry):
    """One entry of sources.yaml.

    Attributes:
        role: what the source may be used for; None allows everything.
        converter: a name in `converters.registry`.
        licence: the licence of the data, as far as it is stated anywhere.
        datasets: data set -> number of rows required, in the order of the tables; empty where it is not known.
        first: only the first so many rows count; 0 for all.
        contains: a text that one of the selected questions must hold, as proof that these are the right rows.
        rows_sha256: of the rows in any order, from whichever place (as in manifest.json); empty where unknown.
        partial: rows that cannot be scored may be left out of a test set; they are counted.
        places: where the files are, the preferred place first.
    """

    role: Role | None = None
    converter: str
    licence: str
    datasets: dict[str, int] = {}
    first: int = 0
    contains: str = ""
    rows_sha256: Sha256 = ""
    partial: bool = False
    places: list[Place] = []

    @property
    def pins(self) -> dict[str, str]:
        """File name -> SHA-256, wherever a place states it."""
        remote = [file for place in self.places if not isinstance(place, ShippedPlace) for file in place.files]
        return {file.file_name: file.sha256 for file in remote if file.sha256}


OWN_SOURCE = Source(converter="own", licence="the user's own")


@dataclass(frozen=True)
class Use:
    """A source as one task uses it; `local` is the user's own file, folder or table that replaces its places."""

    name: str
    source: Source
    role: Role
    local: str | TableParams = ""


@cache
def load_sources(path: Path = SOURCES_FILE) -> dict[str, Source]:
    """Reads sources.yaml.

    Raises:
        DataError: an entry is malformed.
    """
    try:
        return {name: Source.model_validate(entry) for name, entry in read_yaml(path).items()}
    except ValidationError as error:
        raise DataError(f"{path.name} is malformed: {error}") from None


def _use(name: str, role: Role, key: str, data: DataParams) -> Use:
    known = load_sources()
    local = data.files.get(name, "")
    if name not in known:
        if local:
            return Use(name, OWN_SOURCE, role, local)
        raise ParamsError(
            f"data.{key}: unknown source {name!r}; {suggestion(name, [*known, *data.files])}known: {', '.join(known)}; "
            f"or give its file under data.files.{name}"
        )
    source = known[name]
    if source.role is not None and (source.role == "train") != (role == "train"):
        raise ParamsError(
            f"data.{key}: source {name!r} is {'a training' if source.role == 'train' else 'a test'} set "
            f"(role {source.role} in sources.yaml) and cannot be used here"
        )
    if isinstance(local, TableParams):
        source = source.model_copy(update={"converter": "own"})
    return Use(name, source, role, local)


def uses(data: DataParams) -> list[Use]:
    """Returns the sources of a task: for training, then for tests in the order of the tables.

    Raises:
        ParamsError: a source is unknown, is used against its role or twice, or a file belongs to no source.
    """
    keys: dict[str, Role] = {"train": "train", "in_domain": "in-domain", "out_of_domain": "out-of-domain"}
    in_order = [_use(name, role, key, data) for key, role in keys.items() for name in getattr(data, key)]
    names = [use.name for use in in_order]
    for name in names:
        if names.count(name) > 1:
            raise ParamsError(f"data: source {name!r} is listed twice; a source is trained on or tested on, once")
    for name in data.files.keys() - names:
        raise ParamsError(f"data.files.{name}: no list uses this source; add it to train, in_domain or out_of_domain")
    return in_order
