"""ONNX Runtime: inference only, of a model written with onnx.helper whose number of rows is free."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np

from ..networks import Network, initial
from .base import Adapter, Idioms


def model(network: Network, dtype: str) -> bytes:
    """Gemm and an activation per layer, then Softmax."""
    from onnx import TensorProto, helper, numpy_helper

    W, b = initial(network, dtype)
    nodes, constants, last = [], [], "x"
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid"}
    names = [*(kinds[name] for name in network.activations), "Softmax"]
    for l, kind in enumerate(names):
        constants += [numpy_helper.from_array(W[l], f"W_{l}"), numpy_helper.from_array(b[l], f"b_{l}")]
        nodes.append(helper.make_node("Gemm", [last, f"W_{l}", f"b_{l}"], [f"z_{l}"], transB=1))
        last = f"o_{l}" if l < network.depth - 1 else "out"
        nodes.append(helper.make_node(kind, [f"z_{l}"], [last]))
    real = TensorProto.FLOAT if dtype == "float32" else TensorProto.DOUBLE
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", real, ["n", network.sizes[0]])],
        [helper.make_tensor_value_info("out", real, ["n", network.sizes[-1]])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8  # what older runtimes read too
    return made.SerializeToString()


def session(network: Network, dtype: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(model(network, dtype), options, providers=["CPUExecutionProvider"])


def bound(running: Any, X: np.ndarray) -> Any:
    """Input and output bound once to memory that the caller writes to and reads from."""
    import onnxruntime

    held = np.empty_like(X)
    out = np.empty((len(X), running.get_outputs()[0].shape[1]), X.dtype)
    binding = running.io_binding()
    place = onnxruntime.OrtValue.ortvalue_from_numpy(out)
    source = onnxruntime.OrtValue.ortvalue_from_numpy(held)
    binding.bind_ortvalue_input("x", source)
    binding.bind_ortvalue_output("out", place)

    def predict(X: np.ndarray) -> np.ndarray:
        source.update_inplace(X)
        running.run_with_iobinding(binding)
        return place.numpy()

    return functools.partial(predict, X)


def plain(running: Any, X: np.ndarray) -> Any:
    run = running.run
    return functools.partial(lambda X: run(None, {"x": X})[0], X)


class OnnxRuntime(Adapter):
    name = "ONNX Runtime"
    module = "onnxruntime"
    note = "inference only"

    def available(self) -> str | None:
        if importlib.util.find_spec("onnx") is None:
            return "onnx is not installed, which writes the model"
        return super().available()

    def ones(self, network: Network, x: np.ndarray) -> Idioms:
        return self.manys(network, x[None])

    def manys(self, network: Network, X: np.ndarray) -> Idioms:
        running = session(network, X.dtype.name)
        return {"run": lambda: plain(running, X), "run_with_iobinding": lambda: bound(running, X)}
