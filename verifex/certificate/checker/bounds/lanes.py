"""Many whole numbers side by side in one long integer, a lane of so many bits for each.

A lane holds a number v with -2^(width-1) <= v < 2^(width-1); the long integer is the sum of
v_k * 2^(width * k). Sums, differences and multiples of such integers are those of all their lanes
at once, as long as none leaves its range, which is what users have to see to.
"""

from __future__ import annotations

from ..failures import need


class Lanes:
    """So many lanes of `width` bits, which is a multiple of 8."""

    def __init__(self, count: int, width: int) -> None:
        self.count, self.width = count, width
        lane = (1).to_bytes(width // 8, "little")
        self.ones = int.from_bytes(lane * count, "little")  # 1 in every lane
        # Half of a lane's range in every lane: added, it leaves no lane below 0.
        self.half = self.ones << width - 1

    def joined(self, values: dict[int, int]) -> int:
        """These values in their lanes, 0 in all others."""
        return sum(value << self.width * lane for lane, value in values.items())

    def parted(self, numbers: int) -> list[int]:
        """The number in every lane."""
        size = self.width // 8
        data = (numbers + self.half).to_bytes(size * self.count, "little")
        half = 1 << self.width - 1
        return [
            int.from_bytes(data[k : k + size], "little") - half
            for k in range(0, len(data), size)
        ]

    def positive(self, numbers: int) -> int:
        """max(v, 0) in every lane.

        With half the range added, the top bit of a lane says that its number is at least 0. It is
        drawn over the whole lane, (bit << width) - bit, and what is left under it is the number
        plus that half, which is taken off again.
        """
        lifted = numbers + self.half
        signs = lifted >> self.width - 1 & self.ones
        return (lifted & (signs << self.width) - signs) - (signs << self.width - 1)

    def shifted(self, numbers: int, bits: int) -> tuple[int, bool]:
        """floor(v / 2^bits) in every lane, and whether any lane left a remainder; bits < width.

        The remainders, the low bits of each lane, go first, so that nothing is carried from one
        lane into another. A shift has to be shorter than a lane, or the low bits of one would
        reach into the next.
        """
        need(bits < self.width, "a shift beyond a lane")
        lifted = numbers + self.half
        rest = lifted & (self.ones << bits) - self.ones
        return (lifted - rest >> bits) - (self.half >> bits), rest != 0
