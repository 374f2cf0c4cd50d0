"""Keras 3 models on the torch backend, exported as Keras does."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from tests.zoo.member import Member, Trained, relative_radius
from tests.zoo.tables import bundled

ROWS = 12


def _dense(keras: Any, size: int, classes: int) -> Any:
    layers = keras.layers
    head = layers.Dense(1, activation="sigmoid") if classes == 1 else (
        layers.Dense(classes, activation="softmax"))
    return keras.Sequential([
        keras.Input((size,)), layers.Dense(24, activation="relu"), layers.BatchNormalization(),
        layers.Dropout(0.1), layers.Dense(16, activation="relu"), head])


def _image(keras: Any, size: int, classes: int) -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((size,)), layers.Reshape((8, 8, 1)),
        layers.Conv2D(6, 3, padding="same", activation="relu"), layers.AveragePooling2D(2),
        layers.Flatten(), layers.Dense(classes, activation="softmax")])


def _trained(make: Any, table: str, classes: int, share: float, folder: Path) -> Trained:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(0)
    data = bundled(table)
    train, labels, held, _ = data.split()
    model = make(keras, len(data.features), classes)
    loss = "binary_crossentropy" if classes == 1 else "sparse_categorical_crossentropy"
    path = folder / "model.onnx"
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        scale = 1 / data.values.max()
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss)
        model.fit(train * scale, labels, epochs=20, batch_size=128, verbose=0)
        model.export(str(path), format="onnx", verbose=False)
    scaled = data.values * scale
    return Trained(path, (held * scale)[:ROWS].round(6), data.features,
                   relative_radius(scaled, data.features, share))


def members() -> list[Member]:
    """The Keras members."""
    found = [
        ("Dense, softmax, wine", partial(_trained, _dense, "wine", 3, 0.01)),
        ("Dense, sigmoid, breast_cancer", partial(_trained, _dense, "breast_cancer", 1, 0.01)),
        ("Conv2D, softmax, digits", partial(_trained, _image, "digits", 10, 0.005)),
    ]
    return [Member(name, "Keras", build) for name, build in found]
