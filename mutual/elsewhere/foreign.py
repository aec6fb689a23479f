"""Files of anybody's network, written by torch or as safetensors, as one flat mapping of dotted names to tensors."""

import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mutual.base.errors import InputError
from mutual.base.store import existing
from mutual.networks.weights import shown

# what wraps a network or a part of it without belonging to its name
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


class IgnoredObject:
    """Stands in a pickle for objects that people save beside their tensors: takes what it is given, keeps nothing.

    The real ones are never imported, and nothing of the file is run: NumPy, for one, would take flags from the file
    and read memory as these say.
    """

    def __init__(self, *given: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class IgnoredMapping:
    """The same for kinds of dictionaries, which torch fills after they were made: a plain one takes their place."""

    def __new__(cls, *given: object) -> Any:
        return OrderedDict()


OBJECTS = [
    "argparse.Namespace",
    "types.SimpleNamespace",
    "torch.torch_version.TorchVersion",
    "typing.Any",
    *(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),  # as a field's type
    *(f"datetime.{name}" for name in ("date", "datetime", "timedelta")),
    *(f"{module}.{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
    *(f"{module}.Pure{kind}Path" for module in ("pathlib", "pathlib._local") for kind in ("Posix", "Windows")),
    "numpy.dtype",
    "numpy.ndarray",
    # NumPy 1 had the functions in core, without the underscore
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "Boolean", "Float", "Integer", "Path", "String")),
]
MAPPINGS = [
    "addict.addict.Dict",
    "collections.defaultdict",
    "detectron2.config.config.CfgNode",
    "easydict.EasyDict",
    "fastreid.config.config.CfgNode",
    "fvcore.common.config.CfgNode",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "yacs.config.CfgNode",
]
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((IgnoredObject, name) for name in OBJECTS),
    *((IgnoredMapping, name) for name in MAPPINGS),
]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file by their dotted names, on the CPU.

    A mapping in a mapping adds its key to the names: ``{"state_dict": {"fc.bias": …}}`` gives ``state_dict.fc.bias``.
    Wrappers (``module``, ``_orig_mod`` …) are dropped wherever they stand. Whatever else lies there (numbers, options,
    arrays) is passed over; no code of the file's is ever run. Raises :class:`InputError` for a file that is missing or
    damaged, asks for more than that to be read, or holds no tensors by name.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, object]] = [("", content)]
    seen: set[int] = set()  # a pickle can hold itself
    while waiting:
        prefix, value = waiting.pop()
        if isinstance(value, dict) and id(value) not in seen:
            seen.add(id(value))
            # a pickle can give a dictionary an attribute `items` of its own
            entries = [(f"{prefix}.{key}", entry) for key, entry in dict.items(value) if isinstance(key, str)]
            waiting.extend(reversed(entries))
        elif isinstance(value, Tensor) and prefix:
            name = ".".join(part for part in prefix[1:].split(".") if part not in WRAPPERS)
            if name in tensors:
                raise InputError(
                    f"{path}: expected each tensor once: {shown([name], 1)} stands there twice, in wrappers"
                )
            tensors[name] = value
    if not tensors:
        raise InputError(f"{path}: expected a mapping of names to tensors")
    return tensors


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(existing(path))
    except InputError:
        raise
    except Exception as error:  # a dtype that torch lacks raises none of safetensors' own
        raise InputError(f"{path}: expected a whole safetensors file: {_first_line(error)}") from None


def _read_pickle(path: Path) -> object:
    try:
        with torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings(action="ignore"):
            content = torch.load(existing(path), map_location="cpu", weights_only=True)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # torch does not look at the checksums
            if damaged:
                raise ValueError(f"the checksum of {damaged} is another")
    except InputError:
        raise
    except Exception as error:  # a damaged file makes torch raise almost anything
        expected = "expected a whole file of tensors saved by torch, without code"
        raise InputError(f"{path}: {expected}: {_unread(error)}") from None
    return content


def _unread(error: Exception) -> str:
    """Why torch did not read a file, in a line."""
    if isinstance(error, (LookupError, UnicodeError)):  # bytes read as if they were a pickle
        return "not written by torch"
    if not isinstance(error, UnpicklingError):
        return _first_line(error)
    # torch's own text is paragraphs and advises to read the file all the same
    asked = re.search(r"GLOBAL (\S+)", str(error))
    if not asked:
        return "not written by torch"
    return f"it asks for {shown([asked[1]], 1)!r}; save the state_dict alone: torch.save(network.state_dict(), FILE)"


def _first_line(error: Exception) -> str:
    line = str(error).split("\n", 1)[0]
    return line[:200] if line and line.isprintable() else type(error).__name__
