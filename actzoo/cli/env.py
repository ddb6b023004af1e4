"""`actzoo env`: versions and machine, for bug reports and for results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.escaping import visible

if TYPE_CHECKING:
    from actzoo.kernels import Kernel


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show versions, machine and devices."""
    import torch

    from actzoo.environment import environment
    from actzoo.kernels import KERNELS
    from actzoo.plugins.datasets import data_root

    facts: dict[str, Any] = environment()
    facts["cuda"] = [
        torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
    ]
    facts |= {f"{kernel.name}_kernel": _runs(kernel) for kernel in KERNELS}
    facts["mps"] = torch.backends.mps.is_available()
    facts["data_root"] = str(data_root(None))
    if as_json:
        print_json(facts)
        return
    commit = facts.pop("commit")
    facts["commit"] = (
        f"{commit['id'][:12]}{' + changes' if commit['dirty'] else ''}" if commit else "unknown"
    )
    facts["cuda"] = ", ".join(facts["cuda"]) or "none"
    facts["mps"] = "yes" if facts["mps"] else "no"
    for name in (f"{kernel.name}_kernel" for kernel in KERNELS):
        facts[name] = facts[name]["reason"] or facts[name]["how"]
    packages = facts.pop("packages")
    for name, value in {**facts, **packages}.items():
        echo(visible(f"{name.replace('_', ' '):17} {value}"))


def _runs(kernel: Kernel) -> dict[str, str]:
    """Return how a kernel runs on the CPU, or the reason why it does not."""
    import torch

    if reason := kernel.absent(torch.device("cpu")):
        return {"how": "", "reason": f"absent: {reason}"}
    return {"how": kernel.how(), "reason": ""}
