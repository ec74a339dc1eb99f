"""How groups of few channels share registers: whole groups side by side, as many as fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GroupLanes:
    """``groups`` of ``source`` channels that become ``result`` channels each; a register has ``lanes``."""

    groups: int
    source: int
    result: int
    lanes: int

    @property
    def together(self) -> int:
        """Groups of a register; 0 where one does not fit."""
        return self.lanes // max(self.source, self.result)

    @property
    def source_lanes(self) -> int:
        """Lanes of a register of the source that hold channels."""
        return self.together * self.source

    @property
    def result_lanes(self) -> int:
        """Lanes of a register of results that hold channels."""
        return self.together * self.result

    @property
    def registers(self) -> int:
        """Registers that hold all groups."""
        return -(-self.groups // self.together)

    def filled(self) -> float:
        """The part of all lanes of results that hold channels."""
        return self.groups * self.result / (self.registers * self.lanes) if self.together else 0.0

    def pattern(self, channel: int) -> list[int]:
        """For each lane of results, the lane of the source with that channel of its group."""
        found = [lane // self.result * self.source + channel for lane in range(self.result_lanes)]
        return found + [0] * (self.lanes - len(found))

    def places(self, group: int, channel: int) -> list[int]:
        """For each lane of results, how far its channel lies from the register's first, by these steps."""
        return [
            lane // self.result * group + lane % self.result * channel for lane in range(self.result_lanes)
        ]
