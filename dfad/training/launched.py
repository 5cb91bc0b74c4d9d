"""Processes that torchrun or srun has started, on one host or several: which of them this is, from its variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from dfad.errors import ConfigError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SRUN = (
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"),
    *("SLURM_STEP_NODELIST", "SLURM_JOB_ID"),
)
_FIRST_PORT, _PORTS = 15_000, 15_000  # of those that the numbers of job and step choose from


@dataclass(frozen=True)
class Place:
    """Which of the started processes this is.

    Attributes:
        number: among all, 0 first.
        world: how many there are.
        local: among those of its host.
        devices: processes of a host.
        address: of the host of number 0, as the others see it.
        port: where all meet.
        hosted: whether the launcher itself listens there.
        name: of the launch, so that no other is taken for it.
    """

    number: int
    world: int
    local: int
    devices: int
    address: str
    port: int
    hosted: bool = False
    name: str = ""

    @property
    def nodes(self) -> int:
        """How many hosts there are."""
        return self.world // self.devices


def place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """Read the variables of a launcher; None where there is none, or this is all it has started.

    In the shell of a batch script, or of `salloc`, Slurm's variables speak of tasks that nobody has started: those of a
    step alone tell.

    Raises:
        ConfigError: if hosts have unequal numbers of processes.
    """
    if all(name in environment for name in _TORCHRUN):
        number, world, local, devices = (int(environment[name]) for name in _TORCHRUN[:4])
        found = Place(
            number,
            world,
            local,
            devices,
            environment["MASTER_ADDR"],
            int(environment["MASTER_PORT"]),
            hosted=environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
            name=environment.get("TORCHELASTIC_RUN_ID", ""),
        )
        equal = world % devices == 0
    elif all(name in environment for name in _SRUN):
        tasks = re.fullmatch(r"(\d+)(\(x\d+\))?", environment["SLURM_STEP_TASKS_PER_NODE"])
        equal = tasks is not None
        job, step = int(environment["SLURM_JOB_ID"]), int(environment.get("SLURM_STEP_ID", "0"))
        found = Place(
            int(environment["SLURM_PROCID"]),
            int(environment["SLURM_STEP_NUM_TASKS"]),
            int(environment["SLURM_LOCALID"]),
            int(tasks[1]) if tasks else 1,
            environment.get("MASTER_ADDR")
            or SLURMEnvironment.resolve_root_node_address(environment["SLURM_STEP_NODELIST"]),
            int(environment.get("MASTER_PORT") or _FIRST_PORT + (31 * job + step) % _PORTS),
            name=f"{job}.{step}",
        )
    else:
        return None
    if not equal:
        raise ConfigError("every host needs equally many processes: --nproc-per-node N, or --ntasks-per-node=N")
    return found if found.world > 1 else None


def spread(values: Mapping[str, Any], here: Place | None) -> dict[str, Any]:
    """The configuration with as many devices and hosts as the launcher has started processes for, unless it names them.

    Args:
        values: the configuration.
        here: the place of this process; None if it was started alone.

    Raises:
        ConfigError: if it names others.
    """
    trainer = values.get("trainer")
    if here is None or not isinstance(trainer, dict):
        return dict(values)
    there = {"devices": here.devices, "num_nodes": here.nodes}
    asked = {name: trainer.get(name, 1) for name in there}
    if asked not in (there, dict.fromkeys(there, 1)):
        found, right = (" ".join(f"trainer.{name}={value}" for name, value in x.items()) for x in (asked, there))
        raise ConfigError(
            f"{found}, but {here.world} processes were started, {here.devices} on each host; "
            f"leave both out, or use {right}"
        )
    return {**values, "trainer": {**trainer, **there}}
