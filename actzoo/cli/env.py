"""`actzoo env`: versions and machine, for bug reports and for results."""

from __future__ import annotations

from typing import Any

import click

from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.escaping import visible


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show versions, machine and devices."""
    import torch

    from actzoo.environment import environment
    from actzoo.plugins.datasets import data_root

    facts: dict[str, Any] = environment()
    facts["cuda"] = [
        torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
    ]
    facts["table_kernel"] = table_kernel()
    facts["fused_kernel"] = fused_kernel()
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
    for kernel in ("table_kernel", "fused_kernel"):
        facts[kernel] = facts[kernel]["reason"] or facts[kernel]["how"]
    packages = facts.pop("packages")
    for name, value in {**facts, **packages}.items():
        echo(visible(f"{name.replace('_', ' '):14} {value}"))


def table_kernel() -> dict[str, str]:
    """Return how the table kernel runs on the CPU, or the reason why it does not."""
    from actzoo.kernels.table import native

    library = native.load()
    if library is None:
        return {"how": "", "reason": f"absent: {native.absent()}"}
    threads = "torch's threads" if library.threaded else "one thread"
    return {"how": f"C, {library.isa}, {threads}", "reason": ""}


def fused_kernel() -> dict[str, str]:
    """Return how the fused kernel runs on the CPU, or the reason why it does not."""
    import torch

    from actzoo.kernels import fitness

    reason = fitness.refusal((), torch.device("cpu"))
    return {"how": "Inductor", "reason": f"absent: {reason}" if reason else ""}
