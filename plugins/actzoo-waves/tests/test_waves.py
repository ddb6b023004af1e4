import torch
from actzoo_waves import build_residual_mlp, load_waves, pictures

import actzoo


def test_the_same_pictures_every_time():
    x, y = pictures(8)
    assert x.shape == (8, 1, 12, 12) and y.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert torch.equal(pictures(4)[0], x[:4])
    assert x.double().flatten(1).std(dim=1).min() > 20  # none is blank


def test_no_picture_is_in_both_parts(tmp_path):
    images = load_waves(tmp_path)
    every = torch.cat([images.x_train, images.x_test]).flatten(1)
    assert len(every.unique(dim=0)) == len(every) == 1000
    assert images.y_test.bincount().tolist() == [50] * 4


def test_the_network_fits_any_activation():
    for name in ("relu", "glu"):
        act = actzoo.get(name)

        def factory(channels, act=act):
            return act.module(channels), act.channels_after(channels)

        net = build_residual_mlp(factory, (1, 12, 12), 4, depth=2, width=8)
        assert net(torch.zeros(3, 1, 12, 12)).shape == (3, 4)


def test_actzoo_can_bench_them(tmp_path):
    results = actzoo.bench(
        ["relu", "waving"],
        datasets=("waves",),
        models=("residual_mlp(depth=1, width=16)",),
        seeds=(0,),
        members=False,
        out=tmp_path,
    )
    assert results.failed == 0
