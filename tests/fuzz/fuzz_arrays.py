"""Networks, models and estimators called with arrays that a fuzzer makes: `python tests/fuzz/fuzz_arrays.py`.

Each call ends in an answer of the right shape or in a TypeError or ValueError; what is refused leaves the parameters
as they were, and what is not leaves them finite.
"""

import copy
import warnings

import drive

with drive.instrumented():
    import cmlp
    import cmlp.saved
    from fuzz.arrays_at_random import Choices, array, sparse

    try:
        import cmlp.estimators
    except ImportError:  # no scikit-learn
        ESTIMATORS = ()
    else:
        ESTIMATORS = ("MLPClassifier", "MLPRegressor")

import numpy as np

N, FEATURES, OUTPUTS = 5, 3, 4
REFUSALS = (TypeError, ValueError)
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((40, FEATURES)), rng.standard_normal((40, OUTPUTS))
LABELS = np.arange(40) % OUTPUTS
NETWORKS = [
    cmlp.Network((FEATURES, 6, OUTPUTS), "tanh", loss, dtype, 0)
    for loss in ("cross_entropy", "binary_cross_entropy", "squared_error", "poisson")
    for dtype in ("float32", "float64")
]
MODELS = [
    cmlp.fit(X, y, hidden_layer_sizes=4, max_iter=2, random_state=0, dtype=dtype)
    for y in (LABELS, LABELS % 2, Y, (Y > 0).astype(int))
    for dtype in ("float32", "float64")
]


def fitted():
    """With weights large enough that none of what is fitted here is one of a kind."""
    options = {"hidden_layer_sizes": 4, "max_iter": 2, "random_state": 0, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            getattr(cmlp, name)(**options).fit(X.astype(dtype), LABELS if name == "MLPClassifier" else Y)
            for name in ESTIMATORS
            for dtype in ("float32", "float64")
        ]


FITTED = fitted()


def one_input(data):
    choices = Choices(data)
    call = choices.of([network, model, estimator] if FITTED else [network, model])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if call is not estimator:  # scikit-learn's checks of strange arrays come with warnings
            warnings.simplefilter("error", RuntimeWarning)
        call(choices)


def targets(choices, n):
    """As one loss or another wants them, or not."""
    return array(choices, choices.of([(n,), (n, OUTPUTS), (n, 1), ()]), choices.of([1.0, 0.0, 1e3]))


def network(choices):
    net = choices.of(NETWORKS)
    before = net.parameters.copy()
    method = choices.of(["call", "forward", "loss", "gradients", "step", "fit", "assign"])
    x = array(choices, (FEATURES,) if method == "call" or choices.below(2) else (N, FEATURES))
    y, weights = targets(choices, N), array(choices, (N,)) if choices.seldom(3) else None
    try:
        if method == "call":
            check_outputs(net(x), (OUTPUTS,))
        elif method == "forward":
            check_outputs(net.forward(x), (*np.shape(x)[:-1], OUTPUTS))
        elif method == "loss":
            assert isinstance(net.loss(x, y, weights), float)
        elif method == "gradients":
            _, dW, db = net.loss_and_gradients(x, y, 0.1, weights)
            assert [a.shape for a in (*dW, *db)] == [a.shape for a in (*net.weights, *net.biases)]
        elif method == "step":
            net.step(x, y, 0.01, choices.of(["sgd", "adam"]), sample_weight=weights)
        elif method == "fit":
            net.fit(x, y, choices.of(["sgd", "adam"]), 0.01, choices.of([1, 2, 64]), sample_weight=weights)
        else:
            net.parameters = array(choices, before.shape)
    except REFUSALS as error:
        diverged = isinstance(error, cmlp.DivergenceError)
        assert diverged or np.array_equal(net.parameters, before), method
        check_message(error)
    if method in ("call", "forward", "loss", "gradients"):
        assert np.array_equal(net.parameters, before), method
    if method in ("fit", "assign"):
        assert np.isfinite(net.parameters).all(), method
    net.parameters[:] = before


def check_message(error):
    assert 0 < len(str(error)) < 4000, error


def check_outputs(out, shape):
    assert type(out) is np.ndarray
    assert out.shape == shape, (out.shape, shape)
    assert out.flags.writeable


def model(choices):
    it = choices.of(MODELS)
    before = it.network.parameters.copy()
    method = choices.of(["predict", "predict_proba", "score"])
    x = array(choices, (FEATURES,) if choices.below(2) else (N, FEATURES))
    try:
        if method == "score":
            it.score(x, targets(choices, N), array(choices, (N,)) if choices.seldom(3) else None)
        else:
            out = getattr(it, method)(x)
            assert np.shape(out)[: np.ndim(x) - 1] == np.shape(x)[:-1]
    except REFUSALS as error:
        check_message(error)
    assert np.array_equal(it.network.parameters, before)


def estimator(choices):
    it = choices.of(FITTED)
    before = [a.copy() for a in it.coefs_]
    x = sparse(choices, (N, FEATURES)) if choices.below(2) else array(choices, (N, FEATURES))
    method = choices.of(["predict", "predict_proba", "score", "partial_fit", "fit"])
    if method in ("partial_fit", "fit"):
        it = copy.deepcopy(it)
    if not hasattr(it, method):
        return
    try:
        if method in ("predict", "predict_proba"):
            assert len(getattr(it, method)(x)) == x.shape[0] if hasattr(x, "shape") else True
        else:
            getattr(it, method)(x, LABELS[:N] if choices.below(2) else targets(choices, N))
    except (*REFUSALS, OverflowError) as error:  # scikit-learn, of an integer of 400 digits
        check_message(error)
        assert method == "fit" or all(map(np.array_equal, it.coefs_, before)), method
    if method in ("partial_fit", "fit"):
        assert all(np.isfinite(a).all() for a in it.coefs_), method
    else:
        assert all(map(np.array_equal, it.coefs_, before)), method


def mutate(data, source):
    """Other choices from some place on, or in one place."""
    if not data or source.random() < 0.5:
        return source.randbytes(64)
    at = source.randrange(len(data))
    return data[:at] + source.randbytes(1) + (data[at + 1 :] if source.random() < 0.5 else source.randbytes(64))


if __name__ == "__main__":
    drive.main(one_input, [bytes([i, j, 0, 0]) * 16 for i in range(3) for j in range(8)], mutate)
