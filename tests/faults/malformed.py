"""Malformed inputs by kind, each made from a number and a seed: what a user, a crash or an attacker might leave."""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from ruamel.yaml import YAML
from safetensors.torch import load, save

from ptmoe.base.model import BaseInfo
from ptmoe.cli import build_parser
from ptmoe.config.faults import value_at
from ptmoe.config.params import read_yaml
from ptmoe.config.plan import AXES, READS, Plan, filled, plan_file
from tests.conftest import ROOT
from tests.methods.cases import trained
from tests.models.bases import tiny_base

DEEP, LONG, DIGITS = "[" * 100_000, "x" * 200_000, "1" * 5000


@dataclass
class Case:
    """A command in a folder with files.

    Attributes:
        arguments: of `ptmoe`; a first word `stages.X` means that stage.
        refuse: whether the command must refuse; where not, it may, or must be `right`.
        right: tells from the folder and the standard output whether an accepted input was understood.
    """

    note: str
    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    refuse: bool = True
    right: Callable[[Path, str], bool] = lambda folder, said: True


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def as_lines(rows: list[Any]) -> bytes:
    return b"".join(row if isinstance(row, bytes) else as_json(row) + b"\n" for row in rows)


def as_yaml(tree: Any) -> bytes:
    out = io.BytesIO()
    YAML(typ="safe").dump(tree, out)
    return out.getvalue()


def as_parquet(columns: dict[str, Any], metric: str | None = None) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(columns).replace_schema_metadata({"metric": metric} if metric else None), out)
    return out.getvalue()


def damaged(data: bytes, dice: Random) -> bytes:
    """Cuts, garbles or doubles a file; the result may be sound by chance."""
    at = dice.randrange(max(len(data), 1))
    return dice.choice(
        [
            *(data[:at], data[at:], data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :], data + data),
            *(data[:at] + b"\0" + data[at:], data.decode(errors="replace").encode("utf-16"), b"\xff" + data, b""),
        ]
    )


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Lists the paths of all values below a tree of mappings."""
    found = [path] if path else []
    for key, value in tree.items() if isinstance(tree, dict) else ():
        found += places(value, (*path, key))
    return found


def edited(tree: Any, path: tuple, edit: Callable[[Any, Any], None]) -> Any:
    tree = copy.deepcopy(tree)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    edit(inner, path[-1])
    return tree


def of_another_type(value: Any, dice: Random) -> Any:
    """Returns a value that no schema takes in the place of this one."""
    common = [None, [[]], [{"a": 1}], math.nan]
    if isinstance(value, bool):
        return dice.choice([*common, 0, "true", -1])
    if isinstance(value, int | float):
        return dice.choice([*common, "8", True, -1, math.inf, -math.inf, {"a": 1}])
    return dice.choice([*common, 3, True, -0.5] if isinstance(value, str) else [None, 3, "x", True, math.inf])


class Malformed:
    """Makes cases; `folder` receives the sound base and adapter that they start from."""

    kinds = ("params", "own data", "scores", "adapters", "commands")
    # What a schema leaves free, or may be left out.
    FREE = ("data", "max_length", "steps", "batch_size", "learning_rate", "max_new_tokens", "profiles", "mirror")
    OPTIONAL = ("slurm", "dataset_rules", "files", "math", "untuned", "pt", "ptmoe", "id", "context", "target", "group")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tree = read_yaml(ROOT / "params.yaml")
        mini, methods = tree["profiles"]["mini"], ["untuned", "pt", "ptmoe"]
        for block in ("steps", "learning_rate"):
            mini[block] = {name: mini[block][name] for name in methods}
        for block in ("data", "max_length", "batch_size", "max_new_tokens"):
            mini[block] = {"math": mini[block]["math"]}
        self.params = {name: tree[name] for name in ("profile", "seeds", "statistics", "math", *methods)}
        self.params |= {"tasks": ["math"], "methods": methods, "profiles": {"mini": mini}}
        self.params["statistics"]["resamples"] = 100
        self.reads = read_yaml(ROOT / READS)
        sections = {"download": [entry for entry in self.reads["download"] if "/" not in entry]}
        self.project = {str(READS): as_yaml(sections), "stages/download.py": b""}
        self.project["dvc.yaml"] = (ROOT / "dvc.yaml").read_bytes()
        tiny_base().save_pretrained(folder / "base")
        info = BaseInfo(str(folder / "base"), "local", "", "float32", "eager", False, 0, [2], 0)
        template = {"instruction": "", "input": "{question}", "cue": "A:"}
        trained("pt").save(folder / "adapter", info, {"template": template})
        self.config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
        self.weights = (folder / "adapter" / "adapter_model.safetensors").read_bytes()

    def case(self, number: int, seed: int) -> tuple[str, Case]:
        """Returns the kind and the case of a number."""
        kind = self.kinds[number % len(self.kinds)]
        return kind, getattr(self, f"_{kind.replace(' ', '_')}")(Random(f"{seed} {number}"))

    def _plan(self, stage: str, params: Any, *values: str) -> dict[str, bytes]:
        """Returns the plan of a stage, without code, as a file."""
        item = dict(zip(AXES, values, strict=False))
        sections = [entry for entry in filled(self.reads[stage], item, params) if "/" not in entry]
        plan = Plan("mini", {section: value_at(params, section.split(".")) for section in sections}, {}, [])
        return {str(plan_file(stage, item)): plan.text().encode()}

    def _mutated(self, tree: Any, path: tuple, dice: Random) -> tuple[str, Any, bool]:
        """Returns what was done, the tree, and whether it must be refused."""
        how = dice.choice(["type", "type", "delete", "surplus"])
        note, free = f"{how} {'.'.join(map(str, path))}", path[-1] in self.OPTIONAL
        if how == "delete":
            return note, edited(tree, path, lambda inner, key: inner.pop(key)), not free
        if how == "surplus":
            return (
                note,
                edited(tree, path, lambda inner, _: inner.update(zzz=1)),
                path[-2:-1] not in [(name,) for name in self.FREE],
            )

        def change(inner: Any, key: Any) -> None:
            inner[key] = of_another_type(inner[key], dice)

        return note, edited(tree, path, change), path[-1] != "slurm"

    def _params(self, dice: Random) -> Case:
        path = dice.choice(places(self.params))
        # A method's block is checked by commands that use methods.
        command = dice.choice([["budget"], ["case"], ["report", "--costs"], ["stages.plan"]])
        command = ["budget"] if path[0] in self.params["methods"] else command
        if dice.random() < 0.7:
            note, tree, refuse = self._mutated(self.params, path, dice)
            text = as_yaml(tree)
        else:
            text, refuse = as_yaml(self.params), True
            evil = dice.choice(["!!python/object/apply:os.system ['touch pwned']", "*a", "&a [*a]", "{" * 3000, "\x01"])
            how = dice.choice(["evil", "twice", "damaged"])
            note = f"{how} {evil:.20}"
            if how == "evil":
                text += f"zzz: {evil}\n".encode()
            elif how == "twice":
                text += b"profile: mini\n"
            else:
                text, refuse = damaged(text, dice), False
        return Case(f"{note}: {command[0]}", command, {"params.yaml": text} | self.project, refuse)

    def _bad_line(self, row: dict[str, Any], dice: Random) -> bytes:
        """Returns a line that is no row of own data, predictions or scores."""
        key = dice.choice(list(row))
        bad = [3.5, [], {}, True, None] if key in ("question", "answers") else [[], {}, [[1]], True]
        return dice.choice(
            [
                *(b"[1]\n", b'"a"\n', b"null\n", b"7\n", b"{\n", b"{} {}\n", b"\xff\xfe\n", DEEP.encode() + b"\n"),
                as_json(row)[: dice.randrange(1, len(as_json(row)))] + b"\n",
                as_json(row) + as_json(row) + b"\n",
                as_json(row | {key: dice.choice(bad)}) + b"\n",
                as_json(row)[:-1] + b', "question": ' + DIGITS.encode() + b', "em": ' + DIGITS.encode() + b"}\n",
                as_json(row)[:-1] + rb', "question": "\ud800", "prediction": "\ud800", "id": "\ud800"}' + b"\n",
                as_json(row)[:-1] + b', "question": NaN, "f1": NaN, "answers": NaN}\n',
                as_json({name: value for name, value in row.items() if name not in ("question", "answers", "em")})
                + b"\n",
            ]
        )

    def _own_data(self, dice: Random) -> Case:
        rows: list[Any] = [{"question": f"q{n} 数🙂", "answers": [f"{n}"], "id": f"{n}"} for n in range(6)]
        params = copy.deepcopy(self.params)
        name, write = dice.choice(
            [
                *(("mine.jsonl", as_lines), ("mine.json", as_json), ("t", as_lines)),
                ("mine.jsonl.gz", lambda x: gzip.compress(as_lines(x))),
                ("mine.parquet", lambda x: as_parquet({key: [row[key] for row in x] for key in x[0]})),
            ]
        )
        source: Any = "data/own/" + name
        if name == "t":
            source = {"path": "data/own/t.jsonl", "columns": {"question": "question", "answers": "answers", "id": "id"}}
        params["profiles"]["mini"]["data"]["math"] |= {"train": ["mine"], "files": {"mine": source}}
        how, refuse, at = dice.choice(["line", "twice", "damaged", "sound", "table"]), True, dice.randrange(6)
        if how == "line":
            if name != "t":
                name = "mine.jsonl"
                params["profiles"]["mini"]["data"]["math"]["files"]["mine"] = "data/own/mine.jsonl"
            line = self._bad_line(rows[at], dice)
            data, refuse = as_lines([*rows[:at], line, *rows[at:]]), name != "t"
            how += f" {line[:40]!r}"
        elif how == "twice":
            data = write([*rows, rows[at] | {"question": "another"}])
        elif how == "damaged":
            data, refuse = damaged(write(rows), dice), False
        elif how == "table" and name == "t":
            column = dice.choice(["question", "answers", "id"])
            source["columns"][column] = dice.choice(["none", "", "question.x"])
            data, refuse = as_lines(rows), source["columns"][column] != "" or column != "id"
        else:
            data, refuse = write(rows), False
        sound = how == "sound"

        def right(folder: Path, said: str) -> bool:
            manifest = json.loads((folder / "data/raw/math/mine/manifest.json").read_text())
            found = sum(manifest["rows"].values())
            return found == len(rows) if sound else found > 0

        files = {f"data/own/{'t.jsonl' if name == 't' else name}": data}
        files |= self._plan("download", params, "math")
        return Case(f"{how}: {name}", ["stages.download", "--task", "math"], files, refuse, right)

    def _scores(self, dice: Random) -> Case:
        files: dict[str, bytes] = {"params.yaml": as_yaml(self.params)}
        how, at = dice.choice(["predictions", "rows", "tables", "sound"]), dice.randrange(6)
        if how in ("predictions", "sound"):
            rows: list[Any] = [{"prediction": f"{n}", "answers": [f"{n}"], "id": f"{n}"} for n in range(6)]
            line = self._bad_line(rows[at], dice)
            free = how == "sound" or (b'"prediction"' in line and b'"answers"' in line)
            files["a.jsonl"] = as_lines([*rows[:at], *([line] if how == "predictions" else []), *rows[at:]])
            right = lambda folder, said: json.loads(said)["examples"] == (6 if how == "sound" else 7)  # noqa: E731
            metric = dice.choice(["qa", "math"])
            return Case(f"{how} {line[:40]!r}", ["score", metric, "a.jsonl", "--json"], files, not free, right)
        columns: dict[str, Any] = {"id": [*"012345"], "dataset": ["A"] * 6, "em": [0.0] * 6, "f1": [0.5] * 6}
        good = as_parquet(columns, "qa")
        if how == "rows":
            row = {"id": "x", "em": 1.0, "f1": 1.0, "answers": 1}
            line = self._bad_line(row, dice)
            soft = b'"em"' in line and b'"f1"' in line
            data = as_lines([{"id": f"{n}", "em": 1.0, "f1": 1.0} for n in range(at + 1)] + [line])
            files |= {"a.jsonl": data, "b.jsonl": as_lines([{"id": f"{n}", "em": 0.0, "f1": 0.0} for n in range(6)])}
            return Case(f"{how} {line[:40]!r}", ["compare", "a.jsonl", "b.jsonl"], files, not soft)
        key = dice.choice(list(columns))
        wrong = [None, [None] * 6, [[1]] * 6, [{"a": 1}] * 6, ["0"] * 6 if key != "dataset" else [1] * 6]
        wrong += [[math.nan] * 6, [-1.0] * 6, [31.35] * 6, [math.inf] * 6, [True] * 6]
        value = dice.choice(wrong)
        changed = {name: x for name, x in (columns | {key: value}).items() if x is not None}
        metric = dice.choice(["qa", "qa", "qa", "", "none", "../qa", "x" * 300])
        data, refuse = as_parquet(changed, metric or None), True
        if dice.random() < 0.3:
            data, refuse = damaged(good, dice), False
        files |= {"a.parquet": data, "b.parquet": good}
        return Case(f"{how} {key} {value!r:.20} {metric:.9}", ["compare", "a.parquet", "b.parquet"], files, refuse)

    def _adapters(self, dice: Random) -> Case:
        command = dice.choice(
            [["export", "--to", "embeds", "--output", "out"], ["export", "--to", "peft"], ["predict"]]
        )
        config, weights, refuse = as_json(self.config), self.weights, True
        how = dice.choice(["config", "config", "config", "text", "tensor", "header", "cut", "sound"])
        note = how
        if how == "config":
            path = dice.choice(places(self.config))
            how, tree, refuse = self._mutated(self.config, path, dice)
            # Free text of the writer's, or with a default.
            refuse = refuse and path[0] not in ("template", "versions", "task", "init_text", "trainable_parameters")
            refuse = refuse and path not in [("prompt_length",), ("base", "parameters"), ("base", "revision")]
            refuse = refuse or ("surplus" in how and len(path) == 1)
            config, note = as_json(tree), how
        elif how == "text":
            config, refuse = damaged(config, dice), False
        elif how == "tensor":
            tensors = {name: value.clone() for name, value in load(weights).items()}
            name = dice.choice(list(tensors))
            edits = {
                "nan": lambda x: x.fill_(math.nan),
                "inf": lambda x: x.index_fill_(0, x.new_zeros(1).long(), math.inf),
                "shape": lambda x: x[1:],
                "wide": lambda x: x[None],
                "int": lambda x: x.long(),
                "complex": lambda x: x.cfloat(),
                "empty": lambda x: x[:0],
            }
            note = dice.choice(list(edits))
            tensors[name] = edits[note](tensors[name]).contiguous()
            weights = save(tensors | ({"other": tensors[name].clone()} if dice.random() < 0.2 else {}))
        elif how == "header":
            size = 8 + int.from_bytes(weights[:8], "little")
            at = dice.randrange(size)
            weights, refuse = weights[:at] + bytes([dice.randrange(256)]) + weights[at + 1 :], False
        elif how == "cut":
            weights = weights[: dice.randrange(len(weights))]
        else:
            refuse = False

        def right(folder: Path, said: str) -> bool:
            written = list(folder.rglob("prompt_embeds.safetensors"))
            if not written:
                return "--to" in command and bool(list(folder.rglob("adapter_model.safetensors"))[1:])
            (prompt,) = load(written[0].read_bytes()).values()
            return bool((prompt == load(self.weights)["method.prompt"]).all())

        files = {"a/adapter_config.json": config, "a/adapter_model.safetensors": weights}
        rest = ["--question", "Who?"] if command == ["predict"] else []
        return Case(f"{note}: {command[0]}", [*command, "--adapter", "a", *rest], files, refuse, right)

    def _commands(self, dice: Random) -> Case:
        parsers = next(each.choices for each in build_parser()._actions if isinstance(each.choices, dict))
        # The doctor answers whatever it finds, and `base` has one action.
        name = dice.choice(sorted(parsers.keys() - {"doctor", "base"}))
        values = ["", " ", "-1", "0", "x", "nan", "1e999", "../../x", ".", "a\nb", "数", "f", "/dev/null/x", LONG, "=1"]
        if dice.random() < 0.2:
            options = dice.choice([["split", "--task"], ["score", "--task", "--method", "--seed"]])
            given = ["math", "pt", "0", "-1", *values]
            arguments = [f"stages.{options[0]}", *(word for key in options[1:] for word in (key, dice.choice(given)))]
            files = self._plan("split", self.params, "math") | self._plan("score", self.params, "math", "pt", "0")
            return Case(" ".join(arguments)[:80], arguments, files)
        arguments = [name]
        for action in parsers[name]._actions:
            if "--help" in action.option_strings:
                continue
            if not action.option_strings or action.required or dice.random() < 0.3:
                arguments += action.option_strings[-1:]
                arguments += [dice.choice(values)] if action.nargs != 0 else []
        if dice.random() < 0.3:
            arguments.insert(dice.randrange(1, len(arguments) + 1), dice.choice(["--zzz", "--", "-", *values]))
        # Without params.yaml these use the default one, and a table of sizes needs no more.
        return Case(" ".join(arguments)[:80], arguments, {"f": b"x\n"}, name != "budget")
