"""Mistakes in the arguments that are not tensors."""

from __future__ import annotations

from collections.abc import Sequence

from tatamu.errors.base import TatamuError, did_you_mean, listed, size_text


class GroupsError(TatamuError, ValueError, RuntimeError):
    """`groups` is zero or negative. The layer's is a ValueError in torch, the function's a RuntimeError."""

    @classmethod
    def of_layer(cls, groups: int) -> GroupsError:
        """For the layer's constructor."""
        return cls(
            f"groups must be a positive integer, but got groups={groups}; use 1 for an ordinary convolution"
        )

    @classmethod
    def of_function(cls, groups: int) -> GroupsError:
        """For the function."""
        return cls(
            f"non-positive groups is not supported, but got groups={groups}; use 1 for an ordinary "
            f"convolution"
        )


class ChannelsNotDivisibleError(TatamuError, ValueError):
    """The layer's in_channels or out_channels is not a multiple of `groups`."""

    @classmethod
    def of(cls, name: str, channels: int, groups: int) -> ChannelsNotDivisibleError:
        """`name` is 'in_channels' or 'out_channels'."""
        divisors = [str(n) for n in range(1, min(abs(channels), 64) + 1) if channels % n == 0]
        fitting = (
            f"with {name}={channels} groups can be {', '.join(divisors)}" if divisors else "choose another"
        )
        return cls(
            f"{name} must be divisible by groups, but got {name}={channels} and groups={groups}; {fitting}"
        )


class PaddingNameError(TatamuError, ValueError, RuntimeError):
    """An unknown padding string. The layer's is a ValueError in torch, the function's a RuntimeError."""

    @classmethod
    def of_layer(cls, name: str, known: Sequence[str]) -> PaddingNameError:
        """For the layer's constructor."""
        return cls(
            f"Invalid padding string {name!r}, should be one of {listed(known)}{did_you_mean(name, known)}"
        )

    @classmethod
    def of_function(cls, name: str, known: Sequence[str]) -> PaddingNameError:
        """For the function."""
        return cls(
            f"Invalid padding string: {name!r}, should be one of {listed(known)}{did_you_mean(name, known)}"
        )


class StridedSameError(TatamuError, ValueError, RuntimeError):
    """padding='same' with a stride. The layer's is a ValueError in torch, the function's a RuntimeError."""

    @classmethod
    def of(cls, stride: object) -> StridedSameError:
        """`stride` as it was given."""
        return cls(
            f"padding='same' is not supported for strided convolutions, but got stride={stride}; "
            f"'same_upper' (as in "
            "Keras, TensorFlow and JAX) and 'same_lower' work with any stride"
        )


class PaddingModeError(TatamuError, ValueError):
    """A padding mode nobody knows."""

    @classmethod
    def of(cls, mode: object, known: Sequence[str]) -> PaddingModeError:
        """`known` are the modes there are, in torch's order."""
        listed = "{" + ", ".join(map(repr, known)) + "}"
        return cls(
            f"padding_mode must be one of {listed}, but got padding_mode='{mode}'{did_you_mean(mode, known)}"
        )


class StrideError(TatamuError, RuntimeError):
    """A stride that is zero or negative."""

    @classmethod
    def of(cls, stride: Sequence[int]) -> StrideError:
        """`stride` is (height, width)."""
        return cls(f"non-positive stride is not supported, but got stride={tuple(stride)}; the smallest is 1")


class NegativePaddingError(TatamuError, RuntimeError):
    """A padding that would crop."""

    @classmethod
    def of(cls, padding: object) -> NegativePaddingError:
        """`padding` as it was given."""
        return cls(
            f"negative padding is not supported, but got padding={padding}; slice the input to crop it"
        )


class DilationError(TatamuError, RuntimeError):
    """A dilation that is zero or negative."""

    @classmethod
    def of(cls, dilation: Sequence[int]) -> DilationError:
        """`dilation` is (height, width)."""
        return cls(
            f"dilation should be greater than zero, but got {list(dilation)}; 1 means taps side by side"
        )


class KernelSizeError(TatamuError, RuntimeError):
    """A kernel without taps."""

    @classmethod
    def of(cls, kernel_size: Sequence[int]) -> KernelSizeError:
        """`kernel_size` is (height, width)."""
        return cls(
            f"kernel size should be greater than zero, but got kernel_height: {kernel_size[0]} "
            f"kernel_width: {kernel_size[1]}; the smallest kernel is 1 x 1"
        )


class NegativeSizeError(TatamuError, RuntimeError):
    """The layer's weight would have a negative size."""

    @classmethod
    def of(cls, weight_size: Sequence[int]) -> NegativeSizeError:
        """`weight_size` is (out_channels, in_channels / groups, kh, kw)."""
        negative = next(size for size in weight_size if size < 0)
        return cls(
            f"Trying to create tensor with negative dimension {negative}: {size_text(weight_size)}, which "
            f"the "
            f"weight would "
            "be; channels and kernel sizes are counts"
        )


class ArgumentLengthError(TatamuError, RuntimeError):
    """Another number of values than there are axes."""

    @classmethod
    def of(cls, name: str, values: Sequence[object], accepted: str) -> ArgumentLengthError:
        """`accepted` describes what the argument takes."""
        return cls(
            f"expected {name} to be a single integer value or a list of 2 values to match the convolution "
            f"dimensions, "
            f"but got {name}={list(values)}; pass {accepted}"
        )


class ArgumentTypeError(TatamuError, TypeError):
    """An argument of another type than the function takes."""

    @classmethod
    def of(cls, name: str, value: object, accepted: str) -> ArgumentTypeError:
        """`accepted` describes what the argument takes."""
        given = (
            f"{type(value).__name__} {value!r}"
            if isinstance(value, int | float | str | tuple)
            else type(value).__name__
        )
        return cls(
            f"conv2d() received an invalid combination of arguments - got {name}={given}, but {name} is "
            f"{accepted}"
        )


class UnreachableSizeError(TatamuError, ValueError):
    """No convolution turns the one size into the other."""

    @classmethod
    def of(
        cls, axis: str, size: int, wanted: int, fixed: str, nearest: tuple[int, str] | None
    ) -> UnreachableSizeError:
        """`fixed` are the arguments that were given; `nearest` is a size that can be had, and how."""
        can = (
            f"the nearest is {nearest[0]}, with {nearest[1]}"
            if nearest
            else "nothing does: the kernel does not fit into the padded image"
        )
        return cls(f"no convolution with {fixed} turns a {axis} of {size} into {wanted}; {can}")

    @classmethod
    def of_empty(cls, wanted: Sequence[int]) -> UnreachableSizeError:
        """`wanted` is (height, width)."""
        return cls(f"no convolution has an output of {wanted[0]} x {wanted[1]}; the smallest is 1 x 1")


class PrecisionError(TatamuError, ValueError):
    """An unknown precision."""

    @classmethod
    def of(cls, given: object, known: Sequence[str]) -> PrecisionError:
        """`known` are the names that there are."""
        return cls(f"precision should be {listed(known)}, but got {given!r}{did_you_mean(given, known)}")


class FrozenTrainingError(TatamuError, RuntimeError):
    """A layer in training mode is to be frozen, or a frozen one to be trained."""

    @classmethod
    def of(cls, path: str, layer: object) -> FrozenTrainingError:
        """`path` is the layer's in the model, empty for the model itself."""
        which = f"layer {path!r}, {layer}," if path else f"{layer}"
        return cls(f"{which} is in training mode, and its weights will change; call eval() before freeze()")

    @classmethod
    def of_fused(cls, layer: object) -> FrozenTrainingError:
        """`layer` was made by freeze()."""
        return cls(f"{layer} is for inference only; train the model that was given to freeze()")


class FrozenLoadError(TatamuError, RuntimeError):
    """Weights are to be loaded into a layer that has a BatchNorm folded in."""

    @classmethod
    def of(cls, layer: object) -> FrozenLoadError:
        """`layer` was made by freeze()."""
        return cls(
            f"{layer} has a BatchNorm2d folded into its weights; load_state_dict() of the model that was "
            "given to freeze(), and freeze that again"
        )


class RehearsalError(TatamuError, RuntimeError):
    """`warmup` cannot find out what a model will need."""

    @classmethod
    def of(cls, model: object, reason: object) -> RehearsalError:
        """``reason`` is torch's, for a tensor without numbers."""
        return cls(
            f"what {type(model).__name__} does depends on the numbers that it is given ({reason}), and "
            "warmup() has none; call the model once with an input instead"
        )

    @classmethod
    def of_nothing(cls, model: object) -> RehearsalError:
        """No convolution is ours."""
        return cls(
            f"tatamu computes nothing in {type(model).__name__} yet; call tatamu.enable() or "
            "tatamu.convert(model) before tatamu.warmup()"
        )
