"""Commands as one job array of Slurm, through submitit; jobs that Slurm takes back save, and go on where they were."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptmoe.runtime.errors import STOPPED_STATUS, PtmoeError
from ptmoe.runtime.progress import say

LOGS = ".slurm/%j"
POLL_S = 2.0
SETTLE_S = 20.0
"""How long a shared folder may take to show the result of a job that has left the queue."""
SIGNAL_BEFORE_END_S = 120
REQUEUES = 100
"""How often a command may reach the time limit of its job and go on in the next."""
TAKEN_BACK_S = 600
"""How long a command that was told to stop waits for Slurm to end or requeue its job."""
LAST_LINES = 20


class SlurmError(PtmoeError):
    """Slurm is missing or refuses a job."""


@dataclass
class Stoppable:
    """A command as the function of a job; SIGTERM lets it save, and its exit status is the result."""

    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __call__(self, command: Sequence[str]) -> int:
        # Slurm sends its warning before the time limit to every process of the job; `checkpoint` answers it for all.
        ignore_warning = lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # noqa: E731
        self.process = subprocess.Popen(command, preexec_fn=ignore_warning)
        while self.process.poll() is None:
            time.sleep(0.2)
        if self.process.returncode in (STOPPED_STATUS, -signal.SIGTERM):
            # Pre-empted or cancelled: Slurm ends this process, too, and only it knows whether the job starts again.
            time.sleep(TAKEN_BACK_S)
        return self.process.returncode

    def checkpoint(self, command: Sequence[str]) -> Any:
        """Ends the command before the time limit; submitit puts the job back into the queue with what is returned."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.terminate()
            self.process.wait(TAKEN_BACK_S)
        return DelayedSubmission(Stoppable(), command)


def check_slurm(name: str) -> None:
    """Refuses to start where there is no Slurm, or while jobs that an earlier call in this folder began are there.

    Raises:
        SlurmError: as above.
    """
    if shutil.which("sbatch") is None:
        raise SlurmError("no `sbatch` is on the PATH; run this where Slurm's commands are, e.g. on a login node")
    try:
        import submitit  # noqa: F401
    except ModuleNotFoundError:
        raise SlurmError("submitit is not installed; install it with `pip install 'ptmoe[slurm]'`") from None
    queue = _queue()
    if queue is None:
        raise SlurmError("`squeue` gets no answer; see whether Slurm runs (`sinfo`)")
    left = {job.split("_")[0] for job, folder, title in queue if folder == str(Path.cwd()) and title.startswith(name)}
    if left:
        jobs = " ".join(sorted(left))
        raise SlurmError(f"jobs of an earlier sweep of this folder are queued; wait for them, or run `scancel {jobs}`")


def run_array(
    title: str,
    commands: Mapping[str, Sequence[str]],
    at_once: int,
    *,
    minutes: int,
    memory_gb: float,
    cpus: int,
    gpus: int,
    partition: str,
) -> Iterator[tuple[str, str | None]]:
    """Runs each command in a job of one array; yields its key and None when it ended well, else what it said last.

    A job that Slurm takes back is queued again by Slurm and counts only when it ends. The default partition has an
    empty name.

    Raises:
        SlurmError: Slurm refuses the array.
        KeyboardInterrupt: Ctrl-C; the jobs were cancelled and have saved.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = submitit.SlurmExecutor(LOGS, max_num_timeout=REQUEUES)
    executor.update_parameters(
        job_name=title,
        time=minutes,
        mem=f"{int(memory_gb * 1024)}M",
        cpus_per_task=cpus,
        gpus_per_node=gpus or None,
        partition=partition or None,
        array_parallelism=at_once,
        signal_delay_s=SIGNAL_BEFORE_END_S,
        stderr_to_stdout=True,
        additional_parameters={"requeue": True},
        srun_args=[f"--cpus-per-task={cpus}"],  # srun does not take it from sbatch since Slurm 22.05
    )
    try:
        jobs = dict(zip(commands, executor.map_array(Stoppable(), commands.values()), strict=True))
    except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
        raise SlurmError(f"Slurm refuses the jobs: {str(error).strip().splitlines()[-1]}") from None
    numbers = " ".join({job.job_id.split("_")[0]: None for job in jobs.values()})
    say(f"{title}: {len(jobs)} jobs, {at_once} at once, as {numbers}; their output is below {LOGS.partition('/')[0]}/")
    try:
        yield from _finished(jobs)
    except KeyboardInterrupt:
        subprocess.run(["scancel", *numbers.split()])
        raise


def _finished(jobs: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yields the jobs as they end. Asks the queue: not every cluster keeps the accounts that submitit would ask."""
    seen_s = dict.fromkeys(jobs, time.monotonic())
    while seen_s:
        time.sleep(POLL_S)
        queue = _queue()
        queued = {number for number, _, _ in queue or ()}
        now_s = time.monotonic()
        for key in list(seen_s):
            job = jobs[key]
            if job.paths.result_pickle.exists():
                yield key, _fault(job)
            elif queue is None or job.job_id in queued:
                seen_s[key] = now_s
                continue
            elif now_s - seen_s[key] < SETTLE_S:
                continue
            else:
                yield key, f"the job left the queue without a result (cancelled, killed, or out of memory){_tail(job)}"
            del seen_s[key]


def _fault(job: Any) -> str | None:
    try:
        status = job.result()
    except Exception as error:
        return f"{str(error).strip().splitlines()[-1]}{_tail(job)}"
    return None if status == 0 else f"exit status {status}{_tail(job)}"


def _tail(job: Any) -> str:
    log: Path = job.paths.stdout
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n{line}" for line in [f"{log}:", *lines[-LAST_LINES:]])


def _queue() -> list[tuple[str, str, str]] | None:
    """Lists the user's jobs that are not over: number, folder and name; None when the controller does not answer."""
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--array", "--format=%i|%Z|%j"], capture_output=True, text=True
    )
    if asked.returncode:
        return None
    rows = (line.split("|") for line in asked.stdout.splitlines())
    return [(number, folder, name) for number, folder, name in rows]
