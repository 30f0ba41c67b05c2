"""The nodes of a cluster: inside a Slurm allocation, or listed in a hostfile, a stage starts itself on each of them."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptmoe.runtime.errors import TrainingError

HOSTFILE = "PTMOE_HOSTFILE"
_ADDRESS, _PORT, _COUNT, _RANK = (f"PTMOE_NODE_{name}" for name in ("ADDRESS", "PORT", "COUNT", "RANK"))


@dataclass(frozen=True)
class Node:
    """This machine among those of a run.

    Attributes:
        count: how many there are.
        rank: this one's number; 0 writes the results.
        address: name of node 0.
        port: where node 0 listens.
    """

    count: int
    rank: int
    address: str
    port: int


@contextmanager
def this_node() -> Iterator[Node]:
    """Yields this machine's place; on the first one, the stage runs on the others meanwhile.

    Raises:
        TrainingError: the cluster cannot be read, or a node failed.
    """
    if _COUNT in os.environ:  # started by node 0
        rank = os.environ.get(_RANK) or os.environ["SLURM_NODEID"]
        yield Node(int(os.environ[_COUNT]), int(rank), os.environ[_ADDRESS], int(os.environ[_PORT]))
        return
    hosts = _hosts()
    if len(hosts) < 2:
        yield Node(1, 0, "127.0.0.1", _free_port())
        return
    node = Node(len(hosts), 0, hosts[0], _free_port())
    others = [subprocess.Popen(command) for command in remote_commands(hosts, node)]
    try:
        yield node
    except BaseException:
        for other in others:
            other.terminate()
        raise
    finally:
        statuses = [other.wait() for other in others]
    if any(statuses):
        raise TrainingError(f"the stage failed on other nodes with status {max(map(abs, statuses))}; see above")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def _hosts() -> list[str]:
    if HOSTFILE in os.environ:
        return read_hostfile(Path(os.environ[HOSTFILE]))
    if int(os.environ.get("SLURM_NNODES", "1")) > 1:
        listed = subprocess.run(
            ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]],
            capture_output=True,
            text=True,
            check=True,
        )
        return listed.stdout.split()
    return []


def read_hostfile(path: Path) -> list[str]:
    """Reads DeepSpeed's form: a host a line, what follows it (`slots=4`) is not used; the first one is this machine.

    Raises:
        TrainingError: the file is missing or names no host.
    """
    try:
        lines = [line.split("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise TrainingError(f"{HOSTFILE} names {path}, which is missing; unset it or write a host a line") from None
    hosts = [words[0] for words in lines if words]
    if not hosts or len(set(hosts)) < len(hosts):
        raise TrainingError(f"{path} must name each host once; it names {', '.join(hosts) or 'none'}")
    return hosts


def remote_commands(hosts: list[str], node: Node) -> list[list[str]]:
    """Returns the commands that run this very stage on the other nodes, from a folder that all of them share."""
    stage = [sys.executable, *sys.orig_argv[1:]]
    environment = {_COUNT: node.count, _ADDRESS: node.address, _PORT: node.port}
    if HOSTFILE not in os.environ:
        settings = [f"{name}={value}" for name, value in environment.items()]
        others = ["--nodes", str(node.count - 1), "--ntasks-per-node", "1", "--exclude", hosts[0]]
        numbers = " ".join(hosts[1:])
        # Inside this step SLURM_NODEID counts from 0 again, so each node finds its number by its name.
        script = f'n=1; for h in {numbers}; do [ "$h" = "$SLURMD_NODENAME" ] && break; n=$((n+1)); done; '
        run = shlex.join(["env", *settings]) + f" {_RANK}=$n " + shlex.join(stage)
        return [["srun", *others, "sh", "-c", script + run]]
    commands = []
    for rank, host in enumerate(hosts[1:], start=1):
        settings = [f"{name}={value}" for name, value in (environment | {_RANK: rank}).items()]
        remote = f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(['env', *settings, *stage])}"
        commands.append(["ssh", "-o", "BatchMode=yes", host, remote])
    return commands
