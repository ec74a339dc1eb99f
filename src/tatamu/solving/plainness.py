"""How plain a solution is: `tatamu.solve` says in words what is counted here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tatamu.geometry import Axis

USUAL_KERNEL = 3
_LARGE_EXTENT = 7
_LARGE_STRIDE = 2
_UNREAD = 2
_MOSTLY_UNREAD = 4
"""What counts for pixels that no output reads, and beside it for a stride that steps over most of them."""

Key = tuple[int, ...]


@dataclass(frozen=True, order=True)
class Candidate:
    """A solution for one axis or for two: the smaller its key, the plainer it is."""

    key: Key
    axes: tuple[Axis, ...] = field(compare=False)

    @staticmethod
    def of(axes: tuple[Axis, ...]) -> Candidate:
        """The axes have the same kernel, stride and dilation."""
        return Candidate(_key(axes), axes)


def least_key(kernel: int, stride: int, dilation: int, lossy: bool) -> Key:
    """The beginning of a key, with what counts whatever the padding is.

    `lossy` says that there are pixels that no output reads.
    """
    extent = dilation * (kernel - 1) + 1
    count = (kernel % 2 == 0) + (stride > _LARGE_STRIDE) + (dilation > 1) + _UNREAD * lossy
    count += _MOSTLY_UNREAD * (stride > 2 * extent)
    passed = _LARGE_EXTENT
    while extent > passed:
        count, passed = count + 1, 2 * passed
    return count, abs(kernel - USUAL_KERNEL), kernel, stride, dilation


def _key(axes: Sequence[Axis]) -> Key:
    lossy = not all(map(_reads_all, axes))
    count, *order = least_key(axes[0].kernel, axes[0].stride, axes[0].dilation, lossy)
    totals = [axis.before + axis.after for axis in axes]
    usual = axes[0].effective_kernel - 1
    count += any(axis.before != axis.after for axis in axes) + (max(totals) > usual)
    return count, *order, max(abs(total - usual) for total in totals), max(totals)


def _reads_all(axis: Axis) -> bool:
    if axis.output * axis.kernel < axis.size:
        return False
    if axis.dilation == 1 and axis.stride <= axis.kernel:
        return axis.left_over <= axis.after  # The windows leave nothing between them.
    return not axis.unread()


def remarks(axis: Axis) -> list[str]:
    """What is counted against a solution, in words."""
    unread = len(axis.unread())
    found = {
        "even kernel": axis.kernel % 2 == 0,
        f"spans {axis.effective_kernel} pixels": axis.effective_kernel > _LARGE_EXTENT,
        f"stride {axis.stride}": axis.stride > _LARGE_STRIDE,
        f"dilation {axis.dilation}": axis.dilation > 1,
        "one-sided padding": axis.before != axis.after,
        "more padding than half of the kernel": axis.before + axis.after > axis.effective_kernel - 1,
        f"{unread} of {axis.size} never read": unread > 0,
    }
    return [remark for remark, applies in found.items() if applies]
