"""One class for each kind of mistake.

Each class is also the class that torch raises for that mistake (where torch's layer and torch's function
raise different ones, it is both), and its sentence contains torch's own phrase, so code that catches or
matches torch's errors goes on working. `of` makes the sentence: what was given, which rule it breaks, what
would be right.
"""

from tatamu.errors.arguments import (
    ArgumentLengthError,
    ArgumentTypeError,
    ChannelsNotDivisibleError,
    DilationError,
    FrozenLoadError,
    FrozenTrainingError,
    GroupsError,
    KernelSizeError,
    NegativePaddingError,
    NegativeSizeError,
    PaddingModeError,
    PaddingNameError,
    PrecisionError,
    StridedSameError,
    StrideError,
    UnreachableSizeError,
)
from tatamu.errors.base import TatamuError, did_you_mean
from tatamu.errors.operands import (
    BiasShapeError,
    CircularPaddingError,
    DeviceError,
    DtypeMismatchError,
    EmptyInputError,
    GpuError,
    GradOutputSizeError,
    InputChannelsError,
    InputDimensionsError,
    KernelTooLargeError,
    LayoutError,
    NoOutputChannelsError,
    PaddedInputDimensionsError,
    ReflectPaddingError,
    UnsupportedDtypeError,
    WeightDimensionsError,
    WeightGroupsError,
)
from tatamu.errors.tracing import InputSizeError, ModelError, TransposedConvolutionError, ValueReadError

__all__ = [
    "ArgumentLengthError",
    "ArgumentTypeError",
    "BiasShapeError",
    "ChannelsNotDivisibleError",
    "CircularPaddingError",
    "DeviceError",
    "DilationError",
    "DtypeMismatchError",
    "EmptyInputError",
    "FrozenLoadError",
    "FrozenTrainingError",
    "GpuError",
    "GradOutputSizeError",
    "GroupsError",
    "InputChannelsError",
    "InputDimensionsError",
    "InputSizeError",
    "KernelSizeError",
    "KernelTooLargeError",
    "LayoutError",
    "ModelError",
    "NegativePaddingError",
    "NegativeSizeError",
    "NoOutputChannelsError",
    "PaddedInputDimensionsError",
    "PaddingModeError",
    "PaddingNameError",
    "PrecisionError",
    "ReflectPaddingError",
    "StrideError",
    "StridedSameError",
    "TatamuError",
    "TransposedConvolutionError",
    "UnreachableSizeError",
    "UnsupportedDtypeError",
    "ValueReadError",
    "WeightDimensionsError",
    "WeightGroupsError",
    "did_you_mean",
]
