"""Keras' and tf.data's ways to load, for loaders.py, which runs this file by the peers' Python; no command.

Each gives batches of float32 pictures (n, H, W, 3) in [0, 1] and one-hot labels (n, length x symbols) to `model.fit` of
a model that does nothing: the time is that of loading, and of what `fit` does with a batch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from tools.processes import answer_as_peer

# At the top nothing but the standard library: the cores to use are set before TensorFlow is loaded.


def loaders(question: dict[str, Any]) -> dict[str, Any]:
    """Return the sources of batches that `model.fit` takes, by name."""
    import keras
    import numpy as np
    import pandas
    import tensorflow as tf
    from PIL import Image

    files, texts, symbols = question["files"], question["texts"], question["symbols"]
    (height, width), batch, length = question["shape_hw"], question["batch"], question["length"]
    ids = np.array([[symbols.index(c) for c in text.ljust(length)] for text in texts])
    one_hot = np.eye(len(symbols), dtype=np.float32)[ids]  # (n, length, symbols)

    class Sequence(keras.utils.PyDataset):  # keras.utils.Sequence, which Keras 3 calls so
        def __len__(self) -> int:
            return len(files) // batch

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            rows = slice(number * batch, (number + 1) * batch)
            pictures = [Image.open(file).convert("RGB").resize((width, height)) for file in files[rows]]
            return np.stack([np.asarray(picture, np.float32) for picture in pictures]) / 255, one_hot[rows]

    def decode(file: Any, label: Any) -> tuple[Any, Any]:
        picture = tf.io.decode_image(tf.io.read_file(file), channels=3, expand_animations=False)
        return tf.cast(tf.image.resize(picture, (height, width)), tf.uint8), label

    def scale(pictures: Any, labels: Any) -> tuple[Any, Any]:
        return tf.cast(pictures, tf.float32) / 255, labels

    columns = [f"y{i}" for i in range(one_hot[0].size)]
    frame = pandas.DataFrame(one_hot.reshape(len(files), -1), columns=columns)
    frame.insert(0, "file", files)
    generator = keras.src.legacy.preprocessing.image.ImageDataGenerator(rescale=1 / 255).flow_from_dataframe(
        frame, x_col="file", y_col=columns, class_mode="raw", target_size=(height, width), batch_size=batch,
        shuffle=False, validate_filenames=False,
    )  # fmt: skip
    generator.workers = question["cores"]
    decoded = tf.data.Dataset.from_tensor_slices((files, one_hot)).map(decode, tf.data.AUTOTUNE)
    return {
        "Keras ImageDataGenerator": generator,
        "Keras Sequence": Sequence(workers=question["cores"]),
        "tf.data": decoded.batch(batch).map(scale, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
        "tf.data, cache()": decoded.cache().batch(batch).map(scale, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
    }


def idle_fit() -> Callable[[Any], None]:
    """Return a function that calls `fit` of a model that does nothing, over all pictures of a source once."""
    import keras
    import tensorflow as tf

    class Nothing(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"loss": tf.zeros(())}

    model = Nothing()
    model.compile(jit_compile=False)
    return lambda source: model.fit(source, epochs=1, verbose=0)


def measure(_peer: str, question: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Return the pictures/s of each source by wall clock and by CPU time, for each round."""
    os.sched_setaffinity(0, question["cpus"])
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sources, fit_once = loaders(question), idle_fit()
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for source in sources.values():
        fit_once(source)  # traces, and fills the cache
    for _ in range(question["rounds"]):
        for name, source in sources.items():
            start_time, start_cpu, epochs = time.perf_counter(), time.process_time(), 0
            while epochs == 0 or time.perf_counter() - start_time < question["seconds"]:
                fit_once(source)
                epochs += 1
            count = epochs * len(question["files"])
            rates[name].append((count / (time.perf_counter() - start_time), count / (time.process_time() - start_cpu)))
    return rates


if __name__ == "__main__":
    answer_as_peer(measure)
