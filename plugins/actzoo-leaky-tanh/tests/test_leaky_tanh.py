import actzoo.checks


@actzoo.checks.parametrize("leaky_tanh")
def test_contract(activation, check):
    check(activation)
