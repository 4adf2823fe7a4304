"""A plain service around RapidOCR for `load.py`, no command: FastAPI, one picture a request, no batches.

The peers' Python runs it: nothing but FastAPI, OpenCV and RapidOCR is imported.
"""

from __future__ import annotations

import logging

import cv2
import numpy as np
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from rapidocr import RapidOCR

logging.getLogger("RapidOCR").setLevel(logging.ERROR)
engine = RapidOCR()
app = FastAPI()


def _read(data: bytes) -> str:
    """Return the text of a picture, by recognition alone: it is cropped to its text."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return "".join(engine(image, use_det=False, use_cls=False, use_rec=True).txts or ())


@app.post("/read")
async def read(request: Request) -> dict[str, str]:
    """Return the text of the picture in the body."""
    return {"text": await run_in_threadpool(_read, await request.body())}
