"""What a file is that is no ONNX network, by its first bytes and its name, and how to make one.

Nothing of these files is loaded: a pickle runs whatever its author wrote.
"""

from __future__ import annotations

from verifex.errors import InputError, UnsupportedError

_TORCH = ("a PyTorch file", 'torch.onnx.export(model, example, "net.onnx")')
_KERAS = ("a Keras model", 'model.export("net.onnx", format="onnx")')
_FLOW = ("a TensorFlow model", "python -m tf2onnx.convert")
_PICKLE = ("a pickled object",
           "skl2onnx.to_onnx(model, X[:1]) (scikit-learn) or torch.onnx.export (PyTorch)")
_ZIP = ("a zip archive", "the framework of the model")
_WEIGHTS = ("weights without a network", 'torch.onnx.export(model, example, "net.onnx")')

_ENDINGS = {
    ".pt": _TORCH, ".pth": _TORCH, ".ckpt": _TORCH, ".pt2": _TORCH, ".h5": _KERAS, ".hdf5": _KERAS,
    ".keras": _KERAS, ".pkl": _PICKLE, ".pickle": _PICKLE, ".joblib": _PICKLE, ".pb": _FLOW,
    ".tflite": ("a TensorFlow Lite model", "python -m tf2onnx.convert --tflite FILE"),
    ".safetensors": _WEIGHTS,
}


def foreign_content(data: bytes, name: str) -> InputError | None:
    """The error of a file whose first bytes are those of another format; None for any other."""
    known = _by_content(data)
    if known is not None:
        return _error(_by_name(name) or known)
    if not data:
        return InputError("an empty file", expected="an ONNX network")
    if data.startswith(b"version https://git-lfs"):
        return InputError("a pointer of Git LFS", expected="the file that it stands for, which "
                          "git lfs pull fetches")
    if data[:64].lstrip().lower().startswith((b"<!doctype", b"<html")):
        return InputError("a web page", expected="an ONNX network")
    return None


def unreadable(name: str) -> InputError:
    """The error of a file that no ONNX network could be read from; its name may say what it is."""
    known = _by_name(name)
    if known is not None:
        return _error(known)
    return InputError("not an ONNX network", expected="a whole .onnx file")


def folder_error(name: str) -> InputError:
    """The error of a folder that was given as a network."""
    found = _error(("a folder, as a TensorFlow SavedModel is",
                    "python -m tf2onnx.convert --saved-model FOLDER"))
    return found.at(file=name)


def _error(known: tuple[str, str]) -> InputError:
    what, way = known
    return UnsupportedError(what, expected=f"an ONNX network, which {way} writes")


def _by_name(name: str) -> tuple[str, str] | None:
    """(what a file is, what makes an ONNX network of it), by the ending of its name."""
    return next((kind for end, kind in _ENDINGS.items() if name.lower().endswith(end)), None)


def _by_content(data: bytes) -> tuple[str, str] | None:
    """The same by its first bytes."""
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return _KERAS
    if data.startswith(b"PK\x03\x04"):
        # The names of an archive's files stand among its bytes as they are.
        return _TORCH if b"data.pkl" in data else _KERAS if b"config.json" in data else _ZIP
    if data[4:8] == b"TFL3":
        return _ENDINGS[".tflite"]
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return _PICKLE
    return None
