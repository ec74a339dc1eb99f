"""A layer's forward pass by torch.compile, ONNX Runtime and OpenVINO, each on as many threads as torch has.

Each gets its fastest way of being called that a user has: outputs are not copied where the library lets them
be, so OpenVINO's is overwritten by its next call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.case import Case
from tatamu.measuring.passes import prepare

ONNX_OPSET = 17
ONNX_IR_VERSION = 8  # The one that came with the opset.


def torch_compile(case: Case, x: Tensor, w: Tensor, gy: Tensor) -> Callable[[], Tensor]:
    """The function, compiled for these sizes."""
    torch.compiler.reset()  # Otherwise it would give up specialising after a few layers.
    compiled = torch.compile(torch.nn.functional.conv2d, dynamic=False)
    return prepare(case, compiled, x, w, gy)


def onnx_runtime(case: Case, x: Tensor, w: Tensor, _: Tensor) -> Callable[[], Tensor]:
    """A session on a model of the one layer."""
    import onnx  # noqa: PLC0415 - optional, as the other two below.
    import onnxruntime  # noqa: PLC0415

    layer, geometry = case.layer, case.geometry
    helper, element = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        strides=[layer.stride] * 2,
        pads=[*layer.padding, *layer.padding],
        dilations=[layer.dilation] * 2,
        group=layer.groups,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", element, geometry.input_size)],
        [helper.make_tensor_value_info("y", element, geometry.output_size)],
        [onnx.numpy_helper.from_array(w.numpy(), "w")],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", ONNX_OPSET)], ir_version=ONNX_IR_VERSION
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": x.numpy()}
    return lambda: torch.from_numpy(session.run(None, feed)[0])


def openvino(case: Case, x: Tensor, w: Tensor, _: Tensor) -> Callable[[], Tensor]:
    """A compiled model of the one layer, in float32 also where the machine would have bfloat16."""
    import openvino  # noqa: PLC0415
    from openvino import opset13  # noqa: PLC0415

    layer, geometry = case.layer, case.geometry
    source = opset13.parameter(geometry.input_size, dtype=np.float32)
    weight = w.numpy()
    how = ([layer.stride] * 2, layer.padding, layer.padding, [layer.dilation] * 2)
    if layer.groups > 1:
        weight = weight.reshape(layer.groups, -1, *weight.shape[1:])
        result = opset13.group_convolution(source, opset13.constant(weight), *how)
    else:
        result = opset13.convolution(source, opset13.constant(weight), *how)
    compiled = openvino.compile_model(
        openvino.Model([result], [source], "layer"), "CPU", openvino_options(torch.get_num_threads())
    )
    image = x.numpy()
    return lambda: torch.from_numpy(compiled([image], share_inputs=True, share_outputs=True)[0])


def openvino_options(threads: int) -> dict[str, object]:
    """One call at a time on so many threads, in float32."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
