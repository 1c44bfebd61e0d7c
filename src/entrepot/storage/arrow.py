"""Columns of Python values as an Arrow C stream, which DuckDB reads where they lie: nothing is written as text and
parsed again, and no other library is needed.

The structures are those of https://arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html, handed
over as https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html says. Whoever reads a stream moves
its structures and calls `release`, which only marks them: the memory is the stream's, which must outlive the query.
"""

import ctypes
from collections.abc import Mapping, Sequence
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, byref, c_char_p, c_int, c_int64, c_void_p, cast, pointer
from functools import lru_cache
from itertools import accumulate
from struct import pack
from typing import Any, Literal

#: 64-bit integers, or text.
Kind = Literal["integer", "text"]
#: One batch: of every column all values, of the same number of rows. Integers fit 64 bits; no value is None.
Batch = Sequence[Sequence[Any]]

_FORMATS = {"integer": b"l", "text": b"u"}


class _Schema(Structure):
    pass


class _Array(Structure):
    pass


class _Stream(Structure):
    _fields_ = [(name, c_void_p) for name in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


_Schema._fields_ = [
    ("format", c_char_p), ("name", c_char_p), ("metadata", c_char_p), ("flags", c_int64), ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))), ("dictionary", c_void_p), ("release", c_void_p),
    ("private_data", c_void_p),
]  # fmt: skip
_Array._fields_ = [
    ("length", c_int64), ("null_count", c_int64), ("offset", c_int64), ("n_buffers", c_int64), ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)), ("children", POINTER(POINTER(_Array))), ("dictionary", c_void_p),
    ("release", c_void_p), ("private_data", c_void_p),
]  # fmt: skip


def _release(structure: Any) -> None:
    structure.contents.release = None


#: As C calls them; none may be collected while somebody may call it, so they live as long as this module.
_release_schema = CFUNCTYPE(None, POINTER(_Schema))(_release)
_release_array = CFUNCTYPE(None, POINTER(_Array))(_release)
_release_stream = CFUNCTYPE(None, POINTER(_Stream))(_release)
_no_error = CFUNCTYPE(c_char_p, c_void_p)(lambda _stream: None)
_GetSchema = CFUNCTYPE(c_int, c_void_p, POINTER(_Schema))
_GetNext = CFUNCTYPE(c_int, c_void_p, POINTER(_Array))
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]


class Columns:
    """Rows to be read by DuckDB, any number of times, under the name they are registered with."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self._columns = columns
        self._batches: list[tuple[int, list[list[bytes]]]] = []
        self._kept: list[Any] = []

    def add(self, batch: Batch) -> None:
        """More rows."""
        if not (rows := len(batch[0])):
            return
        made = [
            _integers(values) if kind == "integer" else _texts(values)
            for kind, values in zip(self._columns.values(), batch, strict=True)
        ]
        self._batches.append((rows, made))

    def __arrow_c_schema__(self) -> Any:
        schema = _Schema()
        self._schema(schema)
        return self._capsule(schema, b"arrow_schema")

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        batches = iter(self._batches)

        def get_schema(_stream: Any, out: Any) -> int:
            self._schema(out.contents)
            return 0

        def get_next(_stream: Any, out: Any) -> int:
            if (batch := next(batches, None)) is None:
                out.contents.release = None  # as the interface says that there is nothing more
            else:
                self._rows(out.contents, *batch)
            return 0

        calls = _GetSchema(get_schema), _GetNext(get_next)
        self._kept.append(calls)
        stream = _Stream(*(cast(each, c_void_p) for each in (*calls, _no_error, _release_stream)), None)
        return self._capsule(stream, b"arrow_array_stream")

    def _capsule(self, made: Structure, name: bytes) -> Any:
        self._kept += made, name
        return _new_capsule(addressof(made), name, None)

    def _schema(self, out: _Schema) -> None:
        children = [
            _Schema(format=_FORMATS[kind], name=name.encode(), release=cast(_release_schema, c_void_p))
            for name, kind in self._columns.items()
        ]
        pointers = (POINTER(_Schema) * len(children))(*map(pointer, children))
        self._kept += children, pointers
        out.format, out.name, out.n_children, out.children = b"+s", b"", len(children), pointers
        out.release = cast(_release_schema, c_void_p)

    def _rows(self, out: _Array, rows: int, columns: list[list[bytes]]) -> None:
        children = []
        for buffers in columns:
            places = (c_void_p * (len(buffers) + 1))(None, *map(_address, buffers))  # no value is missing: no first one
            children.append(_Array(
                length=rows, n_buffers=len(places), buffers=places, release=cast(_release_array, c_void_p)
            ))  # fmt: skip
            self._kept.append(places)
        pointers, none = (POINTER(_Array) * len(children))(*map(pointer, children)), (c_void_p * 1)(None)
        self._kept += children, pointers, none
        ctypes.memset(byref(out), 0, ctypes.sizeof(out))
        out.length, out.n_buffers, out.buffers = rows, 1, none
        out.n_children, out.children, out.release = len(children), pointers, cast(_release_array, c_void_p)


def _integers(values: Sequence[int]) -> list[bytes]:
    if _is_one(values):
        return [pack("q", values[0]) * len(values)]
    return [pack(f"{len(values)}q", *values)]  # three times as fast as `array`


def _texts(values: Sequence[str]) -> list[bytes]:
    """Where each begins, and all of them."""
    rows = len(values)
    if _is_one(values):
        data = values[0].encode()
        return [_even(len(data), rows), data * rows]
    text = "".join(values)
    data = text.encode()
    parts: Sequence[str | bytes] = values if len(data) == len(text) else [each.encode() for each in values]
    return [pack(f"{rows + 1}i", *accumulate(map(len, parts), initial=0)), data]


def _is_one(values: Sequence[Any]) -> bool:
    """The same over and over: the usual state, a bucket that nobody uses."""
    return values[0] == values[-1] and values.count(values[0]) == len(values)


@lru_cache(maxsize=64)
def _even(size: int, rows: int) -> bytes:
    return pack(f"{rows + 1}i", *(size * row for row in range(rows + 1)))


def _address(buffer: bytes) -> int | None:
    return cast(c_char_p(buffer), c_void_p).value
