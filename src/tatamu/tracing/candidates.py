"""What might mend a model, the plainest first. Nothing here is certain: `tracing.mend` tries them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd, prod
from typing import Any, cast

from torch import nn
from torch.nn import Conv2d, Flatten, Identity, Module, Sequential

from tatamu.tracing import extents, layers
from tatamu.tracing.changes import BEFORE, LAYER, Change, Mend
from tatamu.tracing.meeting import Meeting, Source, channel_axis
from tatamu.tracing.sizes import Size

_COMMON = (224, 256, 32, 28, 64, 128, 384, 512, 299, 227, 96, 112, 160, 192, 320, 16, 48, 8)
"""Heights and widths that networks are made for."""
_TO_NCHW = (0, 3, 1, 2)


@dataclass(frozen=True)
class Candidate:
    """A mend that has not been tried.

    Attributes:
        cost: what one would think of first is 0.
        same: candidates of which all run or none, because all that follows has the same sizes.
    """

    mend: Mend
    cost: float
    same: object


def candidates(meeting: Meeting) -> list[Candidate]:
    """All of them, by cost."""
    channels, extent = meeting.differ
    found = [
        *_of_input_order(meeting), *_of_the_layer(meeting), *_of_flattening(meeting), *_of_shortcuts(meeting),
    ]  # fmt: skip
    if channels:
        found += _of_producers(meeting)
    if extent:
        found += [*_of_extents(meeting), *_of_input_size(meeting)]
    return sorted(found, key=lambda it: it.cost)


def edit(path: str, layer: Module, **new: Any) -> tuple[Change, ...]:
    """The changes of a layer's arguments; those that stay as they are are left out."""
    old = layers.arguments(layer)
    return tuple(Change(path, name, old[name], it) for name, it in new.items() if old[name] != it)


def fitted(layer: Module, channels: int) -> dict[str, Any]:
    """The arguments with which a layer takes this many channels or features; empty where it has none such."""
    given: Mapping[str, Any] = layers.arguments(layer)
    for name in ("in_features", "num_features", "num_parameters"):
        if name in given:
            return {name: channels}
    if "num_channels" in given:
        return {"num_channels": channels, "num_groups": gcd(channels, given["num_groups"])}
    if "in_channels" not in given:
        return {}
    groups = given["groups"]
    if groups > 1 and groups == given["in_channels"]:  # Depthwise stays depthwise.
        outputs = channels * given["out_channels"] // groups
        return {"in_channels": channels, "out_channels": outputs, "groups": channels}
    return {"in_channels": channels, "groups": gcd(channels, groups)}


def _of_the_layer(meeting: Meeting) -> Iterator[Candidate]:
    """The running layer takes what it was given."""
    layer, x, path = meeting.layer, meeting.entering, meeting.failure.path
    if x is None:
        return
    needs = meeting.needs()
    if needs is not None and needs[0] != needs[1]:
        changes = edit(path, layer, **fitted(layer, needs[1]))
        if changes:
            yield Candidate(Mend(changes), 0.5 + 0.1 * len(changes), ("takes", path, needs[1]))
    if isinstance(layer, nn.LayerNorm):
        count = len(layer.normalized_shape)
        shape = x.shape[-count:]
        if shape != layer.normalized_shape:
            new: Any = shape[0] if len(set(shape)) == 1 else shape
            yield Candidate(Mend(edit(path, layer, normalized_shape=new)), 0.5, ("takes", path, shape))
    given: Mapping[str, Any] = layers.arguments(layer)
    channels = x.shape[-3] if len(x.shape) >= 3 else 0
    if "num_groups" in given and channels and channels % given["num_groups"]:
        yield Candidate(Mend(edit(path, layer, **fitted(layer, channels))), 1.5, ("takes", path, channels))
    if isinstance(layer, nn.PixelShuffle) and channels:
        for factor in (2, 3, 4):
            if channels % factor**2 == 0:
                yield Candidate(Mend(edit(path, layer, upscale_factor=factor)), 3, ("factor", path, factor))


def _of_flattening(meeting: Meeting) -> Iterator[Candidate]:
    """A Linear that was given images."""
    layer, x, path = meeting.layer, meeting.entering, meeting.failure.path
    if not isinstance(layer, nn.Linear) or x is None or len(x.shape) < 3 or x.shape[-1] == layer.in_features:
        return
    change, features = Change(path, BEFORE, None, Flatten()), prod(x.shape[1:])
    if features == layer.in_features:
        yield Candidate(Mend((change,)), 0, ("flat", path))
    elif len(x.shape) == 4:
        yield Candidate(Mend((*edit(path, layer, in_features=features), change)), 2, ("flat", path))


def _of_shortcuts(meeting: Meeting) -> Iterator[Candidate]:
    """A shortcut that passes on what it is given, where a projection is needed."""
    if meeting.inner or len(meeting.given) != 2:
        return
    for call in meeting.walk.calls:
        passes = call.path and isinstance(
            module := meeting.model.get_submodule(call.path), Identity | Sequential
        )
        if not passes or (isinstance(module, Sequential) and len(module)):
            continue
        for one, other in (meeting.given, meeting.given[::-1]):
            if one not in call.outputs + call.inputs or len(one.shape) != 4 or len(other.shape) != 4:
                continue
            strides = tuple(-(-a // b) for a, b in zip(one.shape[2:], other.shape[2:], strict=True))
            stride = strides[0] if strides[0] == strides[1] else strides
            projection = Conv2d(one.shape[1], other.shape[1], 1, stride, bias=False, device="meta")  # type: ignore[arg-type]  # A pair.
            cost = 0.8 if one.shape[1] != other.shape[1] else 3.5
            yield Candidate(
                Mend((Change(call.path, LAYER, module, projection),)), cost, ("projection", call.path)
            )


def _of_producers(meeting: Meeting) -> Iterator[Candidate]:
    """A layer upstream gives another number of channels or features."""
    for distance, source in enumerate(meeting.sources()):
        given: Mapping[str, Any] = layers.arguments(source.layer)
        name = "out_channels" if "out_channels" in given else "out_features"
        if name not in given or distance > 24:
            continue
        for rank, (cost, count) in enumerate(_counts(meeting, source, name)):
            changes = edit(source.path, source.layer, **{name: count})
            groups = given.get("groups", 1)
            if groups > 1 and groups == given[name] and count % groups:
                changes = edit(source.path, source.layer, in_channels=count, out_channels=count, groups=count)
            yield Candidate(
                Mend(changes), cost + 0.15 * distance + 0.02 * rank, ("gives", source.path, count)
            )


def _counts(meeting: Meeting, source: Source, name: str) -> list[tuple[float, int]]:
    now = cast("int", layers.arguments(source.layer)[name])
    found: list[tuple[float, int]] = []
    for got, wanted in meeting.pairs:
        if got == now:
            found.append((1, wanted))
        if now + wanted - got > 0:
            found.append((2.5, now + wanted - got))
        if got and now * wanted % got == 0:
            found.append((2, now * wanted // got))
    usual = _usual_count(meeting.model, source, name)
    if usual is not None:
        found.append((1.5, usual))
    if meeting.pairs or not meeting.inner:
        axis = channel_axis(source.layer, source.inputs)
        if axis is not None:
            found.append((3, source.inputs.shape[axis]))
        found += [(4, it) for value in meeting.failure.values for it in value.shape]
    best: dict[int, float] = {}
    for cost, count in found:
        if count > 0 and count != now:
            best[count] = min(cost, best.get(count, cost))
    return sorted((cost, count) for count, cost in best.items())


def _usual(model: Module, source: Source) -> dict[str, Any]:
    """The one argument in which a layer differs from most of those in the same place of other blocks.

    Channels do not count: they differ from block to block.
    """
    pattern = re.escape(re.sub(r"\d+", "0", source.path)).replace("0", r"\d+")
    mine = {name: it for name, it in layers.arguments(source.layer).items() if name in extents.VALUES}
    votes: Counter[tuple[str, Any] | None] = Counter()
    for path, layer in model.named_modules():
        if path != source.path and type(layer) is type(source.layer) and re.fullmatch(pattern, path):
            theirs = layers.arguments(layer)
            differing = [(name, theirs[name]) for name in mine if theirs[name] != mine[name]]
            if len(differing) <= 1:
                votes[differing[0] if differing else None] += 1
    winner = votes.most_common(1)[0][0] if votes else None
    return {} if winner is None else dict([winner])


def _usual_count(model: Module, source: Source, name: str) -> int | None:
    """How many channels or features come out of most layers like this one, such as of a query's key."""
    mine = {**layers.arguments(source.layer), name: None}
    votes = Counter(
        count
        for path, layer in model.named_modules()
        if path != source.path and type(layer) is type(source.layer)
        for count in [layers.arguments(layer).get(name)]
        if isinstance(count, int) and {**layers.arguments(layer), name: None} == mine
    )
    return votes.most_common(1)[0][0] if votes else None


def _of_extents(meeting: Meeting) -> Iterator[Candidate]:
    """A layer whose output gets another height and width: the running one, or one upstream."""
    distance = 0
    x = meeting.entering
    if x is not None and isinstance(meeting.layer, layers.SPATIAL):
        yield from _of_one_extent(
            meeting, Source(meeting.failure.path, meeting.layer, 0, x, x, False), 0, own=True
        )
    for source in meeting.sources():
        if isinstance(source.layer, layers.SPATIAL):
            distance += 1
            yield from _of_one_extent(meeting, source, distance, own=False)


def _of_one_extent(meeting: Meeting, source: Source, distance: int, *, own: bool) -> Iterator[Candidate]:
    channels = channel_axis(source.layer, source.inputs)
    first = 2 if channels is None else channels + 1
    size = source.inputs.shape[first:]
    if not size or len(size) > 3:
        return
    usual = _usual(meeting.model, source)
    away = 0.3 * distance + (2 if source.is_shared else 0)
    wanted = _wanted(meeting, source)
    tried = [
        (argument, value, it, 1 + 0.3 * cost)
        for it in wanted
        for argument, value, cost in extents.solved(source.layer, size, it)
    ]
    tried += [
        (argument, value, new, (1 if own else 3) + 0.4 * cost - 2 * (argument == "padding" and new == size))
        for argument, value, new, cost in extents.variants(source.layer, size)
    ]
    # A layer that is called again is given another size there.
    often = sum(it.path == source.path for it in meeting.walk.calls) > 1
    for argument, value, new, cost in tried:
        hint = 2.5 if argument in usual and usual[argument] == value else 0
        yield Candidate(
            Mend(edit(source.path, source.layer, **{argument: value})), cost + away - hint,
            ("extent", source.path, argument, value) if often else ("extent", source.path, new),
        )  # fmt: skip


def _wanted(meeting: Meeting, source: Source) -> list[extents.Extent]:
    """The extents that a source's output would have if it were like that of the other side."""
    if meeting.inner:
        return []
    count, now = len(source.output.shape) - 2, source.output.shape[2:]
    found: dict[extents.Extent, None] = {}
    for one in meeting.failure.values:
        for other in meeting.failure.values:
            if one is other or len(one.shape) != len(other.shape) or len(one.shape) != count + 2:
                continue
            if one.shape[2:] == now and other.shape[2:] != now:
                found[other.shape[2:]] = None
    return list(found)


def _of_input_order(meeting: Meeting) -> Iterator[Candidate]:
    """Images whose channels are last, or other channels, or whose channels or batch are missing."""
    if len(meeting.walk.sizes) != 1 or not any(it in meeting.walk.inputs for it in meeting.met):
        return
    size = meeting.walk.sizes[0]
    counts = (
        [meeting.layer.in_channels] if isinstance(meeting.layer, Conv2d) else [] if meeting.inner else [3, 1]
    )
    for rank, count in enumerate(counts):
        if len(size) == 4 and size[1] != count:
            if size[3] == count:
                new = tuple(size[it] for it in _TO_NCHW)
                yield Candidate(Mend(sizes=(new,), axes=_TO_NCHW), 0.1 * rank, ("order", count))
            yield Candidate(Mend(sizes=((size[0], count, *size[2:]),)), 1.2 + rank, ("channels", count))
        elif len(size) == 2:
            yield Candidate(Mend(sizes=((1, count, *size),)), 0.1 * rank, ("dimensions", count))


def _of_input_size(meeting: Meeting) -> Iterator[Candidate]:
    """Images of another height and width."""
    sizes = meeting.walk.sizes
    if len(sizes) != 1 or len(sizes[0]) != 4:
        return
    batch, channels, height, width = sizes[0]
    tried: dict[tuple[int, int], float] = {}
    meet = -1.5 if len(meeting.given) > 1 else 0
    if meeting.inner and not isinstance(meeting.layer, nn.Linear):  # There is no room for a kernel.
        tried = {(2 * height, 2 * width): 2.5, (4 * height, 4 * width): 2.6}
    for divisor in (2, 4, 8, 16, 32, 64):
        for up in (0, 1):
            new = tuple((it + up * (divisor - 1)) // divisor * divisor for it in (height, width))
            if 2 * new[0] > height and 2 * new[1] > width:
                tried.setdefault((new[0], new[1]), 4 + meet + 0.1 * len(tried))
    for side in (it for it in _COMMON if 2 * it > max(height, width)):
        tried.setdefault((side, side), 5 + 0.05 * len(tried))
    for new, cost in tried.items():
        if new != (height, width):
            size: Size = (batch, channels, *new)
            yield Candidate(Mend(sizes=(size,)), cost, ("size", size))
