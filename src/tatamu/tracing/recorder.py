"""The modes of torch that see each operation of a model, and write it down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.nn import Module
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tatamu.errors import ValueReadError
from tatamu.tracing import checks
from tatamu.tracing.constants import Constants
from tatamu.tracing.names import bound, is_view, name_of, same_object, viewed
from tatamu.tracing.steps import Call, Failure, Step, Value, Views, Write, setter

_NORMS = frozenset(
    f"aten.{name}"
    for name in (
        "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update", "_batch_norm_with_update", "native_layer_norm", "native_group_norm",
        "_softmax", "_log_softmax", "clone", "_to_copy", "copy_", "detach", "lift_fresh", "lift_fresh_copy",
        "roll", "flip", "_fused_rms_norm", "_unsafe_view",
    )
)  # fmt: skip
"""Operations that keep sizes, beside views and what works number by number."""


_LOG = logging.getLogger("torch._subclasses.fake_tensor")


def _silent(_: logging.LogRecord) -> bool:
    """What fails is told by the walk; torch would write its own stack to stderr beside."""
    return False


@dataclass(frozen=True)
class _Function:
    """A function that the model's code calls, with its arguments, and how many were called before."""

    name: str = ""
    number: int = 0
    func: Any = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """Sees every operation while it is entered (`with recorder:`), inside of a mode of fake tensors."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self.steps: list[Step] = []
        self.calls: list[Call] = []
        self._mode = mode
        self._constants = Constants()
        self._paths: dict[int, str] = {}
        self._imitations: dict[int, Tensor] = {}
        self._values: dict[int, Value] = {}
        # id() tells tensors apart only while all of them live.
        self._alive: list[object] = []
        self._count = 0
        self._stack: list[Call] = []
        self._bases: dict[int, tuple[Tensor, Views]] = {}
        self._views: dict[int, list[Tensor]] = {}
        self._function = _Function()
        self._failed: Failure | None = None
        self._modes = _Functions(self), _Operations(self)

    def __enter__(self) -> None:
        _LOG.addFilter(_silent)
        for mode in self._modes:
            mode.__enter__()  # type: ignore[no-untyped-call]  # torch's.

    def __exit__(self, *exception: object) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*exception)  # type: ignore[no-untyped-call]  # torch's.
        _LOG.removeFilter(_silent)

    # ---- Tensors.

    def imitate(self, tensor: Tensor) -> Tensor:
        """A fake tensor on the CPU like one of the model's, always the same one."""
        found = self._imitations.get(id(tensor))
        if found is None:
            with self._mode:
                if tensor.layout is torch.strided:
                    found = torch.empty_strided(
                        tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu"
                    )
                else:
                    found = self._mode.from_tensor(tensor)
            self._imitations[id(tensor)] = found
            self._alive += [tensor, found]
            self._constants.hold(found, tensor)
        return found

    def introduce(self, tensor: Tensor, name: str = "", *, is_parameter: bool = False) -> Value:
        """The value of a tensor that no step has made."""
        return self._new(tensor, None, name, is_parameter)

    def value(self, tensor: Tensor) -> Value:
        """What a tensor is now."""
        found = self._values.get(id(tensor))
        return self.introduce(tensor) if found is None else found

    def _new(self, tensor: Tensor, source: int | None, name: str = "", is_parameter: bool = False) -> Value:
        value = Value(self._count, tuple(tensor.shape), tensor.dtype, source, name, is_parameter)
        self._count += 1
        self._values[id(tensor)] = value
        self._alive.append(tensor)
        return value

    def _as_values(self, tree: Any) -> Any:
        if isinstance(tree, Tensor):
            return self.value(tree)
        if isinstance(tree, list | tuple):
            return type(tree)(map(self._as_values, tree)) if type(tree) in (list, tuple) else tree
        return tree

    # ---- Modules.

    def watch(self, model: Module) -> None:
        """Write down the calls of a model and its parts; their tensors are known by their paths."""
        for path, module in model.named_modules():
            self._paths[id(module)] = path
            module.register_forward_pre_hook(self._begin, prepend=True, with_kwargs=True)
            module.register_forward_hook(self._end)
        for path, tensor in model.named_parameters():
            self.introduce(tensor, path, is_parameter=True)
        for path, buffer in model.named_buffers():
            self.introduce(buffer, path, is_parameter=True)

    def _begin(self, module: Module, args: Any, kwargs: Any) -> None:
        parent = self._stack[-1] if self._stack else None
        if parent is not None:
            parent.is_leaf = False
        path = self._paths.get(id(module), "")
        given = tuple(self.value(it) for it in tree_leaves((args, kwargs)) if isinstance(it, Tensor))
        held = tuple(self.value(it).name for it in module.parameters(recurse=False))
        home = type(module).__module__.partition(".")[0]
        call = Call(
            len(self.calls), path, type(module).__name__, module.extra_repr(),
            None if parent is None else parent.index, given, (), held, home in ("torch", "tatamu"),
        )  # fmt: skip
        self.calls.append(call)
        self._stack.append(call)

    def _end(self, module: Module, _: Any, output: Any) -> None:
        path = self._paths.get(id(module), "")
        # Calls that the model's code has seen fail, and gone on without, are above it.
        while self._stack:
            call = self._stack.pop()
            if call.path == path:
                call.outputs = tuple(self.value(it) for it in tree_leaves(output) if isinstance(it, Tensor))
                return

    @property
    def _place(self) -> tuple[int | None, str]:
        return (self._stack[-1].index, self._stack[-1].path) if self._stack else (None, "")

    # ---- Functions and operations.

    def function(self, func: Any, args: Any, kwargs: Any) -> Any:
        """A function of torch that the model's code calls."""
        outer = self._function
        self._function = _Function(name_of(func), outer.number + 1, func, args, kwargs)
        try:
            checks.function(func, args, kwargs)
            return func(*args, **kwargs)
        except Exception as error:
            if self._failed is None or self._failed.error is not error:
                self._fail(error, "", self._given())
            raise
        finally:
            self._function = replace(outer, number=self._function.number)

    def operation(self, func: Any, args: Any, kwargs: Any) -> Any:
        """An operation that torch's dispatcher sees."""
        args, kwargs = tree_map(self._faked, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        arguments = bound(func, args, kwargs)
        values = {name: self._as_values(it) for name, it in arguments.items()}
        try:
            geometry = checks.operation(func, arguments)
            output = self._computed(func, args, kwargs)
        except Exception as error:
            self._fail(error, str(func), values)
            raise
        output = same_object(func, arguments, output)
        if any(isinstance(it, Tensor) for it in tree_leaves(output)):
            self._write_down(func, arguments, values, output, geometry)
        return output

    def _faked(self, it: Any) -> Any:
        return self.imitate(it) if isinstance(it, Tensor) and not isinstance(it, FakeTensor) else it

    def _computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            output = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            known = self._constants.computed(func, args, kwargs)
            if known is None:
                raise ValueReadError.of(self._function.name or name_of(func)) from error
            return tree_map(lambda it: self.imitate(it) if isinstance(it, Tensor) else it, known)
        self._constants.follow(func, args, kwargs, output)
        return output

    def _write_down(
        self, func: Any, arguments: Mapping[str, Any], values: Mapping[str, Any], output: Any, geometry: Any
    ) -> None:
        index, (call, path) = len(self.steps), self._place
        packet, views = str(func).rpartition(".")[0], is_view(func)
        is_pointwise = torch.Tag.pointwise in func.tags
        outputs = []
        for place, tensor in enumerate(tree_leaves(output)):
            if isinstance(tensor, Tensor):
                outputs.append(self._new(tensor, index))
                if views:
                    seen = viewed(func, arguments)
                    base, steps = self._bases.get(id(seen), (seen, ()))
                    self._bases[id(tensor)] = base, (*steps, (index, place))
                    self._views.setdefault(id(base), []).append(tensor)
        self.steps.append(
            Step(
                index, -1 if call is None else call, path, str(func), self._function.name or name_of(func),
                self._function.number, values, tuple(outputs), geometry,
                views or is_pointwise or packet in _NORMS, views, is_pointwise,
                tuple(self._writes(func, arguments, index)),
            )
        )  # fmt: skip

    def _writes(self, func: Any, arguments: Mapping[str, Any], index: int) -> list[Write]:
        """What an operation that writes into tensors does to those that share their memory."""
        if not func._schema.is_mutable:
            return []
        written = []
        for argument in func._schema.arguments:
            tensor = arguments.get(argument.name)
            if not argument.is_write or not isinstance(tensor, Tensor):
                continue
            base, views = self._bases.get(id(tensor), (tensor, ()))
            shared = [it for it in self._views.get(id(base), ()) if it is not tensor]
            if not views and not shared:
                continue
            result, before = self.value(tensor), self.value(base)
            after = self._new(base, index) if views else result
            others = tuple((self._new(it, index), self._bases[id(it)][1]) for it in shared)
            written.append(Write(before, after, views, result, others))
        return written

    # ---- Failures.

    def _fail(self, error: Exception, operator: str, arguments: Mapping[str, Any]) -> None:
        values = tuple(it for it in tree_leaves(list(arguments.values())) if isinstance(it, Value))
        function = self._function.name, self._given()
        self._failed = self._failure(error, function, operator, arguments, values)

    def _failure(
        self,
        error: Exception,
        function: tuple[str, Mapping[str, Any]],
        operator: str,
        arguments: Mapping[str, Any],
        values: tuple[Value, ...],
    ) -> Failure:
        call, path = self._place
        set_by = tuple(setter(self.steps, it) for it in values)
        return Failure(error, path, call, *function, operator, arguments, values, set_by)

    def _given(self) -> dict[str, Any]:
        """The arguments of the function that is called now, by name where it is known and else by place."""
        function = self._function
        names = checks.CONV2D.parameters if function.func is torch.conv2d else map(str, count())
        return {name: self._as_values(it) for name, it in zip(names, function.args, strict=False)} | {
            name: self._as_values(it) for name, it in function.kwargs.items()
        }

    def failure(self, error: Exception) -> Failure:
        """Where and why the model failed with an error."""
        if self._failed is not None and _leads_to(self._failed.error, error):
            return self._failed
        call, _ = self._place
        given = () if call is None else self.calls[call].inputs
        return self._failure(error, ("", {}), "", {}, given)


class _Functions(TorchFunctionMode):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.function(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's.
        self._recorder = recorder

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._recorder.operation(func, args, kwargs or {})


def _leads_to(first: BaseException, last: BaseException | None) -> bool:
    """Whether an error is the last one, or what it was raised from."""
    seen: set[int] = set()
    while last is not None and id(last) not in seen:
        if last is first:
            return True
        seen.add(id(last))
        last = last.__cause__ or last.__context__
    return False
