"""Keras' and tf.data's ways to load, for loaders.py, which runs this file by the peers' Python; no command.

Each gives batches of float32 pictures from 0 to 1 and of one-hot labels (length x symbols), drawn by `model.fit` with a
model that does nothing: what is timed is loading, and what `fit` does with a batch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# At the top nothing but the standard library: which cores there are to use is settled before TensorFlow is loaded.


def loaders(question: dict[str, Any]) -> dict[str, Any]:
    """What `model.fit` takes, by name."""
    import keras
    import numpy as np
    import pandas
    import tensorflow as tf
    from PIL import Image

    files, texts, symbols = question["files"], question["texts"], question["symbols"]
    (height, width), batch, length = question["shape_hw"], question["batch"], question["length"]
    ids = np.array([[symbols.index(c) for c in text.ljust(length)] for text in texts])
    one_hot = np.eye(len(symbols), dtype=np.float32)[ids]  # (n, length, symbols)

    class Sequence(keras.utils.PyDataset):  # what keras.utils.Sequence is called since Keras 3
        def __len__(self) -> int:
            return len(files) // batch

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            rows = slice(number * batch, (number + 1) * batch)
            images = [np.asarray(Image.open(f).convert("RGB").resize((width, height)), np.float32) for f in files[rows]]
            return np.stack(images) / 255, one_hot[rows]

    def decoded(file: Any, label: Any) -> tuple[Any, Any]:
        picture = tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)
        return tf.cast(tf.image.resize(picture, (height, width)), tf.uint8), label

    def scaled(pictures: Any, labels: Any) -> tuple[Any, Any]:
        return tf.cast(pictures, tf.float32) / 255, labels

    columns = [f"y{i}" for i in range(one_hot[0].size)]
    frame = pandas.DataFrame(one_hot.reshape(len(files), -1), columns=columns)
    frame.insert(0, "file", files)
    generator = keras.src.legacy.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_dataframe(
        frame, x_col="file", y_col=columns, class_mode="raw", target_size=(height, width), batch_size=batch,
        shuffle=False, validate_filenames=False,
    )  # fmt: skip
    generator.workers = question["cores"]
    parallel = tf.data.Dataset.from_tensor_slices((files, one_hot)).map(decoded, tf.data.AUTOTUNE)
    by_name = {
        "Keras ImageDataGenerator": generator,
        "Keras Sequence": Sequence(workers=question["cores"]),
        "tf.data": parallel.batch(batch).map(scaled, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
        "tf.data, cache()": parallel.cache().batch(batch).map(scaled, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
    }
    return by_name


def nothing() -> Callable[[Any], None]:
    """`fit` of a model that does nothing, over all pictures once."""
    import keras
    import tensorflow as tf

    class Nothing(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"loss": tf.zeros(())}

    model = Nothing()
    model.compile(jit_compile=False)
    return lambda source: model.fit(source, epochs=1, verbose=0)


def main() -> None:
    _, question_file, answered = sys.argv[2:]
    question = json.loads(Path(question_file).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, question["cpus"])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sources, fit_once = loaders(question), nothing()
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for source in sources.values():
        fit_once(source)  # traces, and fills the cache
    for _ in range(question["rounds"]):
        for name, source in sources.items():
            wall, cpu, epochs = time.perf_counter(), time.process_time(), 0
            while epochs == 0 or time.perf_counter() - wall < question["seconds"]:
                fit_once(source)
                epochs += 1
            count = epochs * len(question["files"])
            rates[name].append((count / (time.perf_counter() - wall), count / (time.process_time() - cpu)))
    Path(answered).write_text(json.dumps(rates), encoding="utf-8")


if __name__ == "__main__":
    main()
