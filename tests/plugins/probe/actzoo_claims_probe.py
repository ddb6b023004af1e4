"""A plugin that adds a claim of another paper, and one whose code is broken."""

from actzoo import Measurement, NotRunError, PaperClaim, hookimpl

SOURCE = "Ramachandran et al. 2017, Section 5"


def gain_over_relu(study):
    """Return the score of silu minus that of relu by seed, on each task and network."""
    blocks = {}
    for group in study.groups:
        silu, relu = group.single("silu"), group.single("relu")
        if silu is None:
            continue
        if relu is None:
            raise NotRunError(f"needs relu on {group.title}")
        pairs = [(silu.score[seed], relu.score[seed]) for seed in silu.score if seed in relu.score]
        blocks[group.title] = [group.metric.gain(mine - its) for mine, its in pairs]
    return Measurement(blocks, "Swish with a slope of 1 is silu") if blocks else None


def broken(study):
    raise KeyError("nothing")


@hookimpl
def actzoo_claims():
    words = {"description": "Swish is better than ReLU.", "source": SOURCE, "quantity": "the gain"}
    return [
        PaperClaim(name="swish", title="Swish beats ReLU", measure=gain_over_relu, **words),
        PaperClaim(name="broken", title="broken", measure=broken, **words),
    ]
