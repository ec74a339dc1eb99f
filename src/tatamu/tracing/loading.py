"""Where a model is, in words → the model, without weights wherever that goes."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch.nn import Module

from tatamu.errors import ModelError


def load(spec: str, *, values: bool = False) -> Module:
    """The model that `spec` names.

    Args:
        spec: `package.module:Model` or `path/file.py:Model`. The name is a model, or a class or function that
            makes one without arguments; a class of `transformers` gets its configuration's defaults.
        values: whether the model's tensors are to have values. Without, a class or function is called where
            tensors have sizes and no memory; where that does not go, they get values all the same.

    Raises:
        ModelError: there is no such thing, or it is no model, or making it fails.
    """
    place, colon, name = spec.rpartition(":")
    if not (colon and place and name):
        raise ModelError.of_form(spec)
    found = _named(_imported(spec, place), spec, name)
    if isinstance(found, Module):
        return found
    if not callable(found):
        raise ModelError.of_kind(spec, type(found).__name__)
    make = _maker(spec, name, found)
    try:
        if values:
            made = make()
        else:
            try:
                with torch.device("meta"):
                    made = make()
            except Exception:  # noqa: BLE001 - whatever its code raises on tensors without values.
                made = make()
    except Exception as error:
        raise ModelError.of_failure(spec, "making", error) from error
    if not isinstance(made, Module):
        raise ModelError.of_kind(spec, type(made).__name__)
    return made


def _imported(spec: str, place: str) -> ModuleType:
    is_file = place.endswith(".py") or "/" in place
    folder, module = (Path(place).parent, Path(place).stem) if is_file else (Path(), place)
    if is_file and not Path(place).is_file():
        raise ModelError.of_missing_file(spec, place)
    # What the file imports from beside it is found, as when it is run.
    beside = str(folder.resolve())
    sys.path.insert(0, beside)
    try:
        return _from_file(Path(place)) if is_file else importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModelError.of_missing_module(spec, module, error.name or module) from error
    except (Exception, SystemExit) as error:
        raise ModelError.of_failure(spec, "importing", error) from error
    finally:
        if beside in sys.path:
            sys.path.remove(beside)


def _from_file(path: Path) -> ModuleType:
    description = importlib.util.spec_from_file_location(path.stem, path)
    if description is None or description.loader is None:
        raise ImportError(f"{path} is no Python source")
    module = importlib.util.module_from_spec(description)
    # Classes find the module they are of by its name (dataclasses and pickle ask); a library keeps its own.
    registered = sys.modules.setdefault(path.stem, module)
    try:
        description.loader.exec_module(module)
    finally:
        if registered is module:
            sys.modules.pop(path.stem, None)
    return module


def _named(module: ModuleType, spec: str, name: str) -> object:
    try:
        return attrgetter(name)(module)
    except AttributeError:
        raise ModelError.of_missing_name(spec, name, dir(module)) from None
    except Exception as error:  # A package that imports its parts when they are asked for.
        raise ModelError.of_failure(spec, "importing", error) from error


def _maker(spec: str, name: str, made: Callable[..., Any]) -> Callable[[], object]:
    missing = _required(made)
    if not missing:
        return made
    configuration = getattr(made, "config_class", None)
    if missing == ["config"] and isinstance(configuration, type):
        make = cast("Callable[[], object]", configuration)
        return lambda: made(make())
    raise ModelError.of_arguments(spec, name, missing)


def _required(made: Callable[..., Any]) -> list[str]:
    """The arguments without which it cannot be called."""
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):  # Written in C: it will say itself.
        return []
    optional = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return [it.name for it in parameters if it.default is it.empty and it.kind not in optional]
