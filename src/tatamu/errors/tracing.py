"""Mistakes in what is to be traced: where the model is, the sizes of its inputs, and what it asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tatamu.errors.base import TatamuError, size_text

if TYPE_CHECKING:
    from typing_extensions import Self


class ModelError(TatamuError, ValueError):
    """There is no model where one was said to be, or it cannot be made. `spec` is what was given."""

    @classmethod
    def of_form(cls, spec: str) -> ModelError:
        """It does not say which object is the model."""
        return cls(
            f"a model is given as package.module:Model or path/file.py:Model, but got {spec!r}; the part "
            "after the colon names a class, a function without arguments that makes the model, or a model"
        )

    @classmethod
    def of_missing_file(cls, spec: str, path: str) -> ModelError:
        """`path` is no file."""
        return cls(f"there is no file {path!r} to take the model of {spec!r} from; the path ends in .py")

    @classmethod
    def of_missing_module(cls, spec: str, module: str, missing: str) -> ModelError:
        """`missing` could not be found; it is `module` or a package it lies in, or what either imports."""
        if module == missing or module.startswith(f"{missing}."):
            return cls(
                f"there is no module {missing!r} to take the model of {spec!r} from; it is looked for in the "
                "current folder and among what is installed"
            )
        return cls(f"{module!r} of {spec!r} imports {missing!r}, which is not installed; install it first")

    @classmethod
    def of_missing_name(cls, spec: str, name: str, known: Sequence[str]) -> ModelError:
        """`known` are the names that there are."""
        lowered = {it.lower(): it for it in known}
        near = get_close_matches(name.lower(), lowered, n=1)
        advice = f"; did you mean {lowered[near[0]]!r}?" if near else ""
        return cls(f"{spec.rpartition(':')[0]!r} has nothing called {name!r}{advice}")

    @classmethod
    def of_failure(cls, spec: str, doing: str, error: BaseException) -> ModelError:
        """`doing` is 'importing' or 'making'."""
        return cls(f"{doing} {spec!r} fails with {described(error)}")

    @classmethod
    def of_arguments(cls, spec: str, name: str, missing: Sequence[str]) -> ModelError:
        """The class or function called `name` cannot do without the arguments `missing`."""
        return cls(
            f"{name} of {spec!r} takes arguments ({', '.join(missing)}), and a trace calls it without; write "
            "a function without arguments that returns the model, and name that"
        )

    @classmethod
    def of_kind(cls, spec: str, kind: str) -> ModelError:
        """`kind` is the type that was found."""
        return cls(f"{spec!r} is no torch.nn.Module, but of type {kind}; name a class, a function or a model")

    @classmethod
    def of_copy(cls, error: BaseException) -> ModelError:
        """A trace runs on a copy without weights, which this model does not allow."""
        return cls(
            "a trace runs a copy of the model that has no weights, and copying this one fails with "
            f"{described(error)}; copy.deepcopy(model) is to work"
        )


class InputSizeError(TatamuError, ValueError):
    """The size of an input cannot be read."""

    @classmethod
    def of(cls, size: object) -> InputSizeError:
        """`size` as it was given."""
        return cls(
            "the size of an input is counts such as 3x224x224 (channels, height, width) or 2x3x224x224 "
            f"(batch first), but got {size!r}"
        )


class ValueReadError(TatamuError, RuntimeError):
    """The model asks for a value, and a trace has none but sizes."""

    @classmethod
    def of(cls, operator: str) -> ValueReadError:
        """`operator` is what asks, such as 'item'."""
        return cls(
            f"{operator} asks for values that depend on the input, and a trace knows sizes alone; trace the "
            "parts of the model before and after it one by one"
        )


class TransposedConvolutionError(TatamuError, RuntimeError):
    """The arguments make no transposed convolution."""

    @classmethod
    def of_channels(cls, input_size: Sequence[int], weight_size: Sequence[int], groups: int) -> Self:
        """Sizes with the batch."""
        return cls(
            f"Given transposed=1, weight of size {size_text(weight_size)} and groups={groups}, expected "
            f"input{size_text(input_size)} to have {weight_size[0]} channels, a multiple of groups; its "
            f"dimension 1 holds the channels"
        )

    @classmethod
    def of_bias(cls, bias_size: Sequence[int], weight_size: Sequence[int], groups: int) -> Self:
        """Sizes as they were given."""
        return cls(
            f"Given transposed=1, weight of size {size_text(weight_size)} and groups={groups}, expected bias "
            f"to be 1-dimensional with {weight_size[1] * groups} elements, but got {size_text(bias_size)}"
        )

    @classmethod
    def of_arguments(cls, stride: int, padding: int, dilation: int, output_padding: int) -> Self:
        """Of the axis where they are wrong."""
        return cls(
            "a transposed convolution takes stride and dilation from 1 and padding from 0, and output "
            "padding must be smaller than either stride or dilation, but got "
            f"stride={stride}, padding={padding}, dilation={dilation}, output_padding={output_padding}"
        )

    @classmethod
    def of_output(cls, input_size: Sequence[int], output: int) -> Self:
        """`output` is the size that would come out along one axis."""
        return cls(
            f"Given input size per channel: {size_text(input_size[2:])}, the output of the transposed "
            f"convolution would have {output} pixels along an axis, which is too small; padding takes off "
            "twice its amount"
        )


def described(error: BaseException) -> str:
    """An error in one line: its class, and the first line of its message."""
    text = str(error).strip().partition("\n")[0].rstrip(".: ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
