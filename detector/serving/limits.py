"""How much a service takes at once, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, fields

from detector.errors import ArgumentError, argument


@dataclass(frozen=True)
class Limits:
    """What one request, one picture and the queue may be.

    Args:
        max_pictures: pictures of a request.
        max_bytes: bytes of a request's body.
        max_pixels: pixels of a picture; larger ones are refused from their header, before they are decoded.
        max_queue: pictures that wait for a model; a request that finds no place is told to come again (429).
        max_held_bytes: bytes of all bodies that are in memory at once; then the same.
        body_seconds: how long the head of a request, and then its body, may take to come.
        read_seconds: how long a request may wait for its readings.
        drain_seconds: when the service is stopped, how long it still takes requests that are on their way, each
            answered with "close" for its connection.

    Raises:
        ArgumentError: if one is not above 0, or a whole request finds no place in the queue.
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
