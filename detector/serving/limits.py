"""Limits of the service: sizes and times."""

from __future__ import annotations

from dataclasses import dataclass, fields

from detector.errors import ArgumentError, argument


@dataclass(frozen=True)
class Limits:
    """Limits of a request, a picture and the queue.

    Args:
        max_pictures: most pictures of a request.
        max_bytes: most bytes of a request's body.
        max_pixels: most pixels of a picture; larger ones are refused by their header, before they are decoded.
        max_queue: most pictures that wait for a model; more requests are refused with 429 and Retry-After.
        max_held_bytes: most bytes of all bodies in memory; more requests are refused likewise.
        body_seconds: most seconds that the head of a request, and then its body, may take to arrive.
        read_seconds: most seconds that a request waits for its readings.
        drain_seconds: for how long a stopped service still accepts requests; it closes each connection with the
            answer.

    Raises:
        ArgumentError: if a limit is not above 0 (``drain_seconds`` may be 0), or a request at its limit would not fit
            into the queue or the memory.
    """

    max_pictures: int = 64
    max_bytes: int = 32_000_000
    max_pixels: int = 25_000_000
    max_queue: int = 512
    max_held_bytes: int = 256_000_000
    body_seconds: float = 30.0
    read_seconds: float = 30.0
    drain_seconds: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0 and not (field.name == "drain_seconds" and value == 0):
                raise ArgumentError(f"{argument(field.name, value)}: it must be above 0.")
        if self.max_queue < self.max_pictures:
            raise ArgumentError(
                f"{argument('max_queue', self.max_queue)} has no place for a request of "
                f"{argument('max_pictures', self.max_pictures)}: make the queue longer or requests smaller."
            )
        if self.max_held_bytes < self.max_bytes:
            raise ArgumentError(
                f"{argument('max_held_bytes', self.max_held_bytes)} has no place for a request of "
                f"{argument('max_bytes', self.max_bytes)}: hold more or take smaller requests."
            )
