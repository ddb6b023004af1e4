"""`actzoo env`: what a bug report and a number need."""

from __future__ import annotations

from typing import Any

import click

from actzoo.cli.output import json_option, print_json


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show versions, machine and devices."""
    import torch

    from actzoo.data import data_root
    from actzoo.environment import environment

    facts: dict[str, Any] = environment()
    facts["cuda"] = [
        torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
    ]
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
    packages = facts.pop("packages")
    for name, value in {**facts, **packages}.items():
        click.echo(f"{name.replace('_', ' '):14} {value}")
