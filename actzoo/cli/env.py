"""`actzoo env`: versions and machine, for bug reports and for results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from actzoo.cli.output import json_option, print_json
from actzoo.cli.streams import echo
from actzoo.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actzoo.kernels import Kernel


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show versions, machine and devices."""
    import torch

    from actzoo.environment import environment
    from actzoo.kernels import KERNELS, measurements
    from actzoo.plugins.datasets import data_root

    facts: dict[str, Any] = environment()
    facts["cuda"] = [
        torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
    ]
    facts |= {f"{kernel.name}_kernel": _runs(kernel) for kernel in KERNELS}
    facts["mps"] = torch.backends.mps.is_available()
    facts["data_root"] = str(data_root(None))
    facts["auto"] = measurements(torch.device("cpu"))
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
    packages, found = facts.pop("packages"), facts.pop("auto")
    for name, value in {**facts, **packages}.items():
        echo(visible(f"{name.replace('_', ' '):17} {value}"))
    echo(visible(f"{'auto':17} {_auto(found)}"))
    for row in found["measured"]:
        echo(visible(f"  {_in_words(row)}"))


def _auto(found: Mapping[str, Any]) -> str:
    """Return how "auto" chooses in a program of the user's."""
    if not found["measures"]:
        return f"a rule here: {found['why']}"
    return f"measures: {len(found['measured'])} found so far, in {found['file']}"


def _in_words(row: Mapping[str, Any]) -> str:
    """Return a measurement as a line."""
    times = ", ".join(
        f"{name} {1e6 * t['forward']:.0f} and {1e6 * t['training']:.0f} µs"
        for name, t in row["seconds"].items()
    )
    chosen = next(iter(row["seconds"])) if row["pays"] else "plain torch"
    threads = f"{row['threads']} thread{'' if row['threads'] == 1 else 's'}"
    where = f"{row['functions']} {row['dtype']}, {row['elements']} elements, {threads}"
    return f"{where}: {chosen} (forward and training: {times})"


def _runs(kernel: Kernel) -> dict[str, str]:
    """Return how a kernel runs on the CPU, or the reason why it does not."""
    import torch

    if reason := kernel.absent(torch.device("cpu")):
        return {"how": "", "reason": f"absent: {reason}"}
    return {"how": kernel.how(), "reason": ""}
