"""Packed weights that outlive a call, and are used again while the weight's bytes are the same.

What is the same is found out at each call, by comparing all bytes with a copy: counters and addresses prove
nothing. See docs/decisions/weights.md.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable, Hashable

from tatamu.engine.execute import Call
from tatamu.engine.lowering.common import Packing
from tatamu.engine.lowering.comparison import lower_comparison
from tatamu.engine.runtime import memory
from tatamu.engine.target import Target

Alive = Callable[[], bool]
"""Whether the memory that a weight lay in when this was made has not been given back since."""

_WORTH_KEEPING = 64 << 10
"""Bytes from which a weight is kept packed: packing fewer takes no longer than finding out."""
_MOST_BESIDE = 14 << 20
"""Bytes that one weight's keeping may take beside four times the weight: a call's extra memory is bounded."""
MOST_BYTES = 384 << 20
"""Of all that is kept but for frozen weights: enough for VGG-16, the largest of the usual networks."""
_IDLE_SECONDS = 10.0
"""What was used since is not given up for another: a network too large by a little would lose all of it."""
_LONGEST_WAIT = 16
_SAMPLE_BYTES = 16


class _Kept:
    """Packed weights, and the bytes they were packed from; not written to once others see them."""

    __slots__ = ("_memory", "address", "copy", "size", "used")

    def __init__(self, packed_bytes: int, weight: int, weight_bytes: int) -> None:
        """Room for packed weights, and a copy of the weight at an address; none where ``weight_bytes`` is 0.

        Raises:
            OSError: there is no such amount of memory.
        """
        self._memory = memory.allocate(packed_bytes + weight_bytes)
        self.size = packed_bytes + weight_bytes
        self.address = self._memory[1]
        self.copy = 0
        if weight_bytes:
            self.copy = self.address + packed_bytes
            ctypes.memmove(self.copy, weight, weight_bytes)
        self.used = time.monotonic()


class _Known:
    """What is known of the weight at an address, for one way of packing it."""

    __slots__ = ("is_alive", "kept", "patience", "sample", "wait")

    def __init__(self, is_alive: Alive) -> None:
        self.is_alive = is_alive
        self.sample = b""
        """A few bytes of it at the last call: a weight that is being trained is not worth keeping."""
        self.wait = 0
        """Calls that are to see the same sample before it is kept."""
        self.patience = 1
        self.kept: _Kept | None = None

    def seems_to_stay(self, sample: bytes) -> bool:
        """Whether the weight is to be kept. A guess: what is kept is compared with the weight at each use."""
        if sample != self.sample:
            self.sample = sample
            return False
        if self.wait > 0:
            self.wait -= 1
            return False
        return True

    def gave_way(self) -> None:
        """The weight has changed, unnoticed by its samples. One that does so again is kept less often."""
        self.kept = None
        self.patience = min(2 * self.patience, _LONGEST_WAIT)
        self.wait = self.patience


class _Way:
    """One way of packing weights, with all weights that are packed so, by their addresses."""

    def __init__(self, packing: Packing) -> None:
        self.weight_bytes = packing.weight_bytes
        self.known: dict[int, _Known] = {}

    def begin(self, address: int, is_alive: Alive) -> _Known:
        """Get to know a weight; those whose memory is no more are forgotten."""
        self.forget_dead()
        known = self.known[address] = _Known(is_alive)
        return known

    def forget_dead(self) -> None:
        """Forget weights whose memory has been given back."""
        for address, known in list(self.known.items()):
            if not known.is_alive():
                self.known.pop(address, None)


_ways: dict[Hashable, _Way] = {}
frozen: dict[int, Alive] = {}
"""Addresses of weights that are said to stay as they are; some may be no more."""


class ReusingCall:
    """A `Call` whose packed weights are used again."""

    def __init__(self, call: Call, packing: Packing, target: Target) -> None:
        self._call = call
        self._packed_bytes = call.lowered.shared_bytes
        self._way = _ways.setdefault(packing.key, _Way(packing))
        self._target = target

    def run(
        self,
        source: int,
        second: int,
        bias: int,
        result: int,
        most_threads: int,
        watch: Callable[[], Alive],
        residual: int = 0,
    ) -> None:
        """`Call.run`; ``watch`` makes what tells whether the memory at ``second`` is still the weight's."""
        run, known = self._call.run, self._way.known.get(second)
        if known is None or (known.kept is None and not known.is_alive()):
            known = self._way.begin(second, watch())
        kept = known.kept
        if kept is not None:
            if self._is_current(kept, second, most_threads):
                kept.used = time.monotonic()
                known.patience = 1
                run(source, second, bias, result, most_threads, kept.address, 1, residual)
                return
            known.gave_way()
        elif (promised := is_frozen(second)) or known.seems_to_stay(self._sample(second)):
            known.wait = _LONGEST_WAIT  # Other threads need not keep it as well.
            kept = self._new(second, promised)
            if kept is not None:
                # From the copy: another thread may be changing the weight.
                run(source, kept.copy or second, bias, result, most_threads, kept.address, 0, residual)
                known.kept = kept
                return
        run(source, second, bias, result, most_threads, 0, 0, residual)

    def _sample(self, weight: int) -> bytes:
        half = self._way.weight_bytes // 2
        return b"".join(
            ctypes.string_at(weight + at, _SAMPLE_BYTES) for at in (0, half, 2 * half - _SAMPLE_BYTES)
        )

    def _is_current(self, kept: _Kept, weight: int, most_threads: int) -> bool:
        if not kept.copy:
            return is_frozen(weight)
        different = ctypes.c_int64(0)
        compare = _comparison(self._way.weight_bytes, self._target)  # Compiled when first there is a copy.
        compare.run(weight, kept.copy, 0, ctypes.addressof(different), most_threads)
        return not different.value

    def _new(self, weight: int, promised: bool) -> _Kept | None:
        """Room for packed weights; None where there is none."""
        weight_bytes = 0 if promised else self._way.weight_bytes
        if not promised and not _make_room(self._packed_bytes + weight_bytes):
            return None
        try:
            return _Kept(self._packed_bytes, weight, weight_bytes)
        except OSError:
            return None


def reusing(call: Call, target: Target, *, promised: bool = False) -> ReusingCall | None:
    """The call with packed weights that are used again; None where it packs none, or few.

    Where it is ``promised`` that they stay as they are, few are kept too, and large ones, which need no copy.
    """
    packing = call.lowered.packing
    if packing is None:
        return None
    beside = call.lowered.shared_bytes - 3 * packing.weight_bytes
    if not promised and (packing.weight_bytes < _WORTH_KEEPING or beside > _MOST_BESIDE):
        return None
    return ReusingCall(call, packing, target)


def freeze(weight: int, is_alive: Alive) -> None:
    """Take the user's word that the weight at an address stays as it is, until `thaw` or its end."""
    for address, alive in list(frozen.items()):
        if not alive():
            frozen.pop(address, None)
    frozen[weight] = is_alive
    _forget(weight)


def thaw(weight: int) -> None:
    """Find out again at each call whether the weight at an address has changed."""
    if frozen.pop(weight, None) is not None:
        _forget(weight)


def is_frozen(weight: int) -> bool:
    """Whether the weight at an address is said to stay as it is."""
    is_alive = frozen.get(weight)
    return is_alive is not None and is_alive()


def kept_bytes() -> int:
    """All memory that is kept, frozen weights included."""
    return sum(known.kept.size for known in _all_known() if known.kept is not None)


def _all_known() -> list[_Known]:
    return [known for way in list(_ways.values()) for known in list(way.known.values())]


def _forget(weight: int) -> None:
    for way in list(_ways.values()):
        way.known.pop(weight, None)


def _make_room(size: int) -> bool:
    """Whether there is room, or is once what has long not been used is given up, the oldest first."""
    for way in list(_ways.values()):
        way.forget_dead()
    checked = [(known, kept) for known in _all_known() if (kept := known.kept) is not None and kept.copy]
    excess = sum(kept.size for _, kept in checked) + size - MOST_BYTES
    idle = time.monotonic() - _IDLE_SECONDS
    for known, kept in sorted(checked, key=lambda pair: pair[1].used):
        if excess <= 0 or kept.used > idle:
            break
        known.kept = None
        excess -= kept.size
    return excess <= 0


@functools.cache
def _comparison(size: int, target: Target) -> Call:
    return Call(lower_comparison(size), target)
