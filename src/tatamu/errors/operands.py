"""Mistakes in the tensors: their dimensions, sizes, dtypes and devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tatamu.errors.base import TatamuError, size_text


class InputChannelsError(TatamuError, RuntimeError):
    """The input has another number of channels than the weight takes."""

    @classmethod
    def of(cls, input_size: Sequence[int], weight_size: Sequence[int], groups: int) -> InputChannelsError:
        """Sizes as they were given: the input may be unbatched."""
        wanted, last = weight_size[1] * groups, len(input_size) - 1
        advice = f"dimension {last - 2} of the input holds the channels"
        if input_size[last] == wanted:
            order = (0, 3, 1, 2) if last == 3 else (2, 0, 1)
            name = "NHWC" if last == 3 else "HWC"
            advice = f"the last dimension has {wanted}: if this is {name}, pass input.permute{order}"
        return cls(
            f"Given groups={groups}, weight of size {size_text(weight_size)}, expected "
            f"input{size_text(input_size)} "
            f"to have "
            f"{wanted} channels, but got {input_size[last - 2]} channels instead; {advice}"
        )


class InputDimensionsError(TatamuError, RuntimeError):
    """The input is neither (N, C, H, W) nor (C, H, W)."""

    @classmethod
    def of(cls, input_size: Sequence[int]) -> InputDimensionsError:
        """`input_size` as it was given."""
        return cls(
            "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: "
            f"{size_text(input_size)}; pass (N, C, H, W) or (C, H, W)"
        )


class PaddedInputDimensionsError(TatamuError, NotImplementedError):
    """The same with a padding mode other than zeros, for which torch raises another class."""

    @classmethod
    def of(cls, input_size: Sequence[int], padding_mode: str) -> PaddedInputDimensionsError:
        """`input_size` as it was given."""
        return cls(
            f"Padding size 4 is not supported for {len(input_size)}D input tensor, but got an input of size "
            f"{size_text(input_size)} with padding_mode={padding_mode!r}; pass (N, C, H, W) or (C, H, W)"
        )


class WeightDimensionsError(TatamuError, RuntimeError):
    """The weight is not (out_channels, in_channels / groups, kh, kw)."""

    @classmethod
    def of(
        cls, weight_size: Sequence[int], input_size: Sequence[int], padding: object
    ) -> WeightDimensionsError:
        """torch speaks of the stride here, or of the input if it is to pad itself, or asks for three."""
        count = len(weight_size)
        if count < 3:
            phrase = "weight should have at least three dimensions"
        elif padding == "same":
            phrase = (
                f"Expected {count}-dimensional input for {count}-dimensional weight{size_text(weight_size)}, "
                f"but got input of size {size_text(input_size)} instead"
            )
        else:
            phrase = (
                f"expected stride to be a single integer value or a list of {count - 2} values to match the "
                f"convolution dimensions"
            )
        return cls(
            f"{phrase}: a weight of size {size_text(weight_size)} has {count} dimensions; conv2d takes four, "
            "(out_channels, in_channels / groups, kernel height, kernel width)"
        )


class KernelTooLargeError(TatamuError, RuntimeError):
    """The effective kernel does not fit into the padded input."""

    @classmethod
    def of(cls, padded: Sequence[int], effective_kernel: Sequence[int]) -> KernelTooLargeError:
        """Both (height, width)."""
        short = [max(kernel - size, 0) for kernel, size in zip(effective_kernel, padded, strict=True)]
        return cls(
            f"Calculated padded input size per channel: ({padded[0]} x {padded[1]}). "
            f"Kernel size: ({effective_kernel[0]} x {effective_kernel[1]}). Kernel size can't be greater "
            f"than actual "
            f"input size; it takes {short[0]} more rows and {short[1]} more columns, as input or as padding"
        )


class DtypeMismatchError(TatamuError, RuntimeError):
    """Input, weight and bias are not of one dtype. Dtypes are given by their names, such as 'float32'."""

    @classmethod
    def of_weight(cls, input_dtype: str, weight_dtype: str) -> DtypeMismatchError:
        """The weight differs from the input."""
        return cls(
            f"expected scalar type {scalar_type(input_dtype)} but found {scalar_type(weight_dtype)}: "
            f"Input type ({_tensor_type(input_dtype)}) and weight type ({_tensor_type(weight_dtype)}) should "
            f"be the "
            f"same; convert one, as with input.to(weight.dtype)"
        )

    @classmethod
    def of_bias(cls, input_dtype: str, weight_dtype: str, bias_dtype: str) -> DtypeMismatchError:
        """The bias differs from the input, and so may the weight."""
        mend = "input.to(weight.dtype)" if weight_dtype == bias_dtype else "bias.to(input.dtype)"
        return cls(
            f"Input type ({_C_TYPES.get(input_dtype, input_dtype)}) and bias type "
            f"({_C_TYPES.get(bias_dtype, bias_dtype)}) should be the same; convert one, as with {mend}"
        )


class UnsupportedDtypeError(TatamuError, NotImplementedError):
    """A dtype in which torch does not convolve on this device either."""

    @classmethod
    def of(cls, dtype: str, supported: Iterable[str]) -> UnsupportedDtypeError:
        """Dtypes are given by their names, such as 'bool'."""
        return cls(
            f"\"slow_conv2d_cpu\" not implemented for '{scalar_type(dtype)}': conv2d takes "
            f"{', '.join(supported)}"
        )


class BiasShapeError(TatamuError, RuntimeError):
    """The bias is not one value for each output channel."""

    @classmethod
    def of(cls, weight_size: Sequence[int], bias_size: Sequence[int]) -> BiasShapeError:
        """Sizes as they were given."""
        return cls(
            f"Given weight of size {size_text(weight_size)}, expected bias to be 1-dimensional with "
            f"{weight_size[0]} "
            f"elements, but got bias of size {size_text(bias_size)} instead; a bias is one value for each "
            f"output "
            f"channel"
        )


class WeightGroupsError(TatamuError, RuntimeError):
    """The weight's output channels cannot be shared out among the groups."""

    @classmethod
    def of(cls, weight_size: Sequence[int], groups: int) -> WeightGroupsError:
        """`weight_size` as it was given."""
        return cls(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got "
            f"weight of size "
            f"[{size_text(weight_size)}] instead; each group makes equally many output channels"
        )


class NoOutputChannelsError(TatamuError, RuntimeError):
    """The weight has fewer output channels than there are groups, or none."""

    @classmethod
    def of(cls, weight_size: Sequence[int], groups: int) -> NoOutputChannelsError:
        """`weight_size` as it was given."""
        return cls(
            f"Given groups={groups}, expected weight to be at least {max(groups, 1)} at dimension 0, but got "
            f"weight of "
            f"size {size_text(weight_size)} instead; each group makes at least one output channel"
        )


class ReflectPaddingError(TatamuError, RuntimeError):
    """Reflection runs out of pixels: it can pad with one pixel less than there are."""

    @classmethod
    def of(cls, axis: int, padding: Sequence[int], input_size: Sequence[int]) -> ReflectPaddingError:
        """`axis` is 0 for the height and 1 for the width, `padding` its (before, after)."""
        dimension = len(input_size) - 2 + axis
        return cls(
            f"Argument #{6 - 2 * axis}: Padding size should be less than the corresponding input dimension, "
            f"but got: "
            f"padding ({padding[0]}, {padding[1]}) at dimension {dimension} of input "
            f"{size_text(input_size)}; "
            f"padding_mode='reflect' reaches {input_size[dimension] - 1} here, 'replicate' has no limit"
        )


class CircularPaddingError(TatamuError, RuntimeError):
    """Circular padding would go round more than once."""

    @classmethod
    def of(cls, axis: int, padding: Sequence[int], input_size: Sequence[int]) -> CircularPaddingError:
        """`axis` is 0 for the height and 1 for the width, `padding` its (before, after)."""
        dimension = len(input_size) - 2 + axis
        return cls(
            f"Padding value causes wrapping around more than once: padding ({padding[0]}, {padding[1]}) at "
            f"dimension "
            f"{dimension} of input {size_text(input_size)}; padding_mode='circular' reaches "
            f"{input_size[dimension]} here"
        )


class EmptyInputError(TatamuError, RuntimeError):
    """The input has no rows or no columns."""

    @classmethod
    def of(cls, input_size: Sequence[int]) -> EmptyInputError:
        """`input_size` as it was given."""
        return cls(
            f"Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{size_text(input_size)}; the "
            "height and the width are at least 1"
        )

    @classmethod
    def of_padded(cls, input_size: Sequence[int]) -> EmptyInputError:
        """The same where padding would have to be read from pixels that are not there."""
        return cls(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            "for input, "
            f"but got: {size_text(input_size)}; the height and the width are at least 1"
        )


class DeviceError(TatamuError, RuntimeError):
    """Tensors on different devices, or on one that tatamu has no kernels for."""

    @classmethod
    def of_mismatch(cls, devices: Iterable[str]) -> DeviceError:
        """`devices` are those of input, weight and bias."""
        return cls(
            "Expected all tensors to be on the same device, but got input, weight and bias on "
            f"{', '.join(devices)}; move them with .to(input.device)"
        )

    @classmethod
    def of_unsupported(cls, device: str, supported: Iterable[str]) -> DeviceError:
        """`supported` are the device types there are kernels for."""
        return cls(
            f"tatamu has no kernels for tensors on {device}: it computes on {' and '.join(supported)}; move "
            f"the tensors "
            "with .to('cpu') or use torch.nn.functional.conv2d"
        )


class GpuError(TatamuError, RuntimeError):
    """Tensors on a GPU that nothing here can compute on."""

    @classmethod
    def of_missing(cls, least: str) -> GpuError:
        """`least` is the first version of Triton that will do."""
        return cls(
            f"the kernels for tensors on cuda are written in Triton, which is not installed: pip install "
            f"'triton>={least}' (or 'tatamu[gpu]'), or move the tensors with .to('cpu')"
        )

    @classmethod
    def of_old(cls, version: str, least: str) -> GpuError:
        """`version` is the one that is installed."""
        return cls(
            f"the kernels for tensors on cuda take Triton {least} or newer, and Triton {version} is "
            f"installed: pip install 'triton>={least}', or move the tensors with .to('cpu')"
        )

    @classmethod
    def of_vendor(cls, platform: str) -> GpuError:
        """`platform` is what torch was built for, such as 'ROCm 7.0'."""
        return cls(
            f"the kernels for tensors on cuda are for NVIDIA's GPUs, and this torch is for {platform}; move "
            f"the tensors with .to('cpu') or use torch.nn.functional.conv2d"
        )


class GradOutputSizeError(TatamuError, RuntimeError):
    """A gradient that is not one of this convolution's output."""

    @classmethod
    def of(cls, given: Sequence[int], expected: Sequence[int]) -> GradOutputSizeError:
        """Both are (N, O, Ho, Wo)."""
        return cls(
            f"grad_output has size {size_text(given)}, but the output of this convolution, and so its "
            f"gradient, "
            f"has size "
            f"{size_text(expected)}"
        )


class LayoutError(TatamuError, RuntimeError):
    """A tensor that is not a plain array of numbers in memory."""

    @classmethod
    def of(cls, name: str, layout: str) -> LayoutError:
        """`layout` by its name, such as 'torch.sparse_coo'."""
        return cls(
            f"unsupported memory format option: conv2d takes dense tensors, but {name} has layout {layout}; "
            f"convert it "
            f"with {name}.to_dense()"
        )


_SCALAR_TYPES = {
    "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
    "complex32": "ComplexHalf", "complex64": "ComplexFloat", "complex128": "ComplexDouble",
    "int8": "Char", "uint8": "Byte", "int16": "Short", "int32": "Int", "int64": "Long",
    "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip
_C_TYPES = {
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "complex32": "c10::complex<c10::Half>", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
    "int8": "signed char", "uint8": "unsigned char", "int16": "short int",
    "int32": "int", "int64": "long int",
}  # fmt: skip


def scalar_type(dtype: str) -> str:
    """torch's name of a dtype in its messages: 'Half' for 'float16', 'Long' for 'int64'."""
    return _SCALAR_TYPES.get(dtype, dtype[:1].upper() + dtype[1:])


def _tensor_type(dtype: str) -> str:
    name = scalar_type(dtype)
    return f"CPU{name}Type" if dtype == "bfloat16" or dtype.startswith("complex") else f"torch.{name}Tensor"


class DistributedOperandsError(TatamuError, ValueError):
    """Of the operands of one convolution some are DTensors and some are not, or they have several meshes."""

    @classmethod
    def of_mixture(cls, name: str, every: Sequence[str]) -> DistributedOperandsError:
        """`name` is one that is no DTensor, `every` are all operands."""
        return cls(
            f"{', '.join(every)} must all be DTensors if one of them is, but {name} is not; make it one with "
            "torch.distributed.tensor.distribute_tensor(), or a layer's parameters with distribute_module()"
        )

    @classmethod
    def of_meshes(cls, first: str, mesh: str, second: str, other: str) -> DistributedOperandsError:
        """Two operands, and the meshes they lie on."""
        return cls(
            f"the operands must lie on one device mesh, but {first} lies on {mesh} and {second} on {other}; "
            "distribute one of them anew"
        )
