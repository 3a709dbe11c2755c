"""The reader of plain pickles: what it takes, and everything it refuses."""

import pickle
from typing import Any

import numpy as np
import pytest

from echomimic.motion.files.plain_pickle import PlainPickleError, Stored, _Kind, read_plain


def refused(data: bytes) -> str:
    with pytest.raises(PlainPickleError) as fault:
        read_plain(data)
    return str(fault.value)


def array(value: np.ndarray, protocol: int = 2) -> np.ndarray:
    stored = read_plain(pickle.dumps(value, protocol))
    assert isinstance(stored, Stored)
    return stored.array()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        [1, -2, 3.5, None, True, False, "ü", b"\x00\xff", (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        {"a": [1, 2], 3: {"b": {}}, "many": list(range(300))},
        [[], {}, [[]], 1 << 40, -(1 << 70), "x" * 300, 256, 65536],
        [["the same"]] * 3,
    ],
)
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    assert read_plain(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i2", "|u1", "?", "<f2", ">u4", "<i8"])
def test_arrays_of_every_number_and_order(kind: str, order: Any) -> None:
    value = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=kind, order=order)
    np.testing.assert_array_equal(array(value), value)
    assert array(value).dtype.newbyteorder("=") == value.dtype.newbyteorder("=")


def test_instructions_are_counted() -> None:
    assert len(read_plain(pickle.dumps([None] * 199_000))) == 199_000
    assert "more instructions than a pose needs" in refused(pickle.dumps([None] * 200_000))
    assert read_plain(b"N" + b"N0" * 99_999 + b"N.") is None, "200 000, and the one that stops it"
    assert "more instructions than a pose needs" in refused(b"N" + b"N0" * 100_000 + b".")


def test_what_is_shared_stays_shared() -> None:
    row: list[Any] = []
    first, second = read_plain(pickle.dumps([row, row]))
    assert first is second


@pytest.mark.parametrize("value", [np.array([1 + 2j]), np.array(["a"]), np.array(["2020-01-01"], "M8[D]")])
def test_arrays_of_other_things_are_refused(value: np.ndarray) -> None:
    stored = read_plain(pickle.dumps(value, 2))
    with pytest.raises(PlainPickleError, match="not made of plain numbers"):
        stored.array()
    with pytest.raises(PlainPickleError, match="one object was expected"):
        stored.item()


def test_arrays_with_fields_are_refused() -> None:
    assert "has fields" in refused(pickle.dumps(np.zeros(2, [("a", "f4"), ("b", "f4")]), 2))


def test_one_object_in_an_array() -> None:
    for shape in ((), (1,)):
        value = np.empty(shape, object)
        value[...] = {"a": 1}
        assert read_plain(pickle.dumps(value, 2)).item() == {"a": 1}
    with pytest.raises(PlainPickleError, match="one object was expected"):
        read_plain(pickle.dumps(np.array([{}, {}], object), 2)).item()
    with pytest.raises(PlainPickleError, match="one object was expected"):
        Stored(_Kind("O"), (1,), False, [1, 2]).item()
    with pytest.raises(PlainPickleError, match="one object was expected"):
        Stored(None, (1,), False, [1]).item()


@pytest.mark.parametrize(("size", "message"), [(15, "cut off"), (17, "cut off"), (16, "")])
def test_the_size_of_an_array_is_checked(size: int, message: str) -> None:
    stored = Stored(_Kind("f4", "<"), (2, 2), False, bytes(size))
    if not message:
        assert stored.array().shape == (2, 2)
        return
    with pytest.raises(PlainPickleError, match=message):
        stored.array()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "asks for 'os.system'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "asks for 'os.system'"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ is not allowed"),
        (b"cnumpy\nndarray\n)R.", "in a way a pose file has no use for"),
        (b"K\x01)R.", "it calls something"),
        (b"cnumpy\nndarray\nK\x01R.", "it calls something"),
        (
            b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00utf-8tR.",
            "in a way a pose file has no use for",
        ),
        (b"K\x01}b.", "not an array"),
        (b"K\x01", "damaged"),
        (b"", "damaged"),
        (b".", "damaged"),
        (b"(.", "a value is missing"),
        (b"K\x01K\x02a.", "holds none"),
        (b"](K\x01u.", "holds none"),
        (b"}(K\x01u.", "keyed by"),
        (b"}(K\x01K\x01K\x02u.", "keyed by"),
        (b"}(G?\xf0\x00\x00\x00\x00\x00\x00K\x01u.", "keyed by"),
        (b"h\x05.", "damaged"),
        (b"Pabc\n.", "PERSID is not allowed"),
    ],
)
def test_programs_and_damage_are_refused(data: bytes, says: str) -> None:
    assert says in refused(data)


@pytest.mark.parametrize("shape", [(-1,), (1 << 32,), (1.0,), (True,), (1,) * 9])
def test_impossible_shapes_are_refused(shape: tuple[Any, ...]) -> None:
    whole = pickle.dumps(shape, 2)[2:-1]
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    kind = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00<NNNK\x00K\x00K\x00tb"
    assert "impossible shape" in refused(head + b"(K\x01" + whole + kind + b"\x89C\x00tb.")


def test_small_instructions() -> None:
    assert read_plain(b"K\x012\x86.") == (1, 1)
    assert read_plain(b"K\x01K\x020.") == 1
    assert read_plain(b"K\x01(K\x02K\x031.") == 1
    assert read_plain(b"(K\x01K\x02l.") == [1, 2]
    assert read_plain(b"(K\x01K\x02d.") == {1: 2}
    assert read_plain(b"}K\x01K\x02s.") == {1: 2}
