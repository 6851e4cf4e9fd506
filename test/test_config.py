"""Reading a configuration: what is accepted, and the words in which the rest is refused."""

from dataclasses import FrozenInstanceError, dataclass, field
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.config import difference, dump, load_yaml, merge, override, parse_yaml, read, to_yaml
from toolkit.errors import ConfigError
from toolkit.registry import Part, Registry


class Shape:
    pass


SHAPES: Registry[Shape] = Registry("shape-of-test", Shape, wired=("size",))


@SHAPES.register("circle")
class Circle(Shape):
    """A round one."""

    def __init__(self, size: int, *, radius: float = 1.0, colours: tuple[str, ...] = ("red",)) -> None:
        if radius < 0:
            raise ConfigError(f"radius: must not be negative, got {radius}")
        self.size, self.radius, self.colours = size, radius, colours


@SHAPES.register("square")
class Square(Shape):
    def __init__(self, *, side: int = 2) -> None:
        self.side = side


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    count: int | None = None


@dataclass(frozen=True)
class Outer:
    shape: Annotated[Part[Shape], SHAPES]
    several: Annotated[tuple[Part[Shape], ...], SHAPES] = ()
    inner: Inner = field(default_factory=Inner)
    global_: int = 4
    name: str = "x"


def test_defaults_and_knobs_are_filled_in() -> None:
    outer = read(Outer, {"shape": "circle", "shape_conf": {"radius": 3}, "global": 5})
    assert outer.shape.knobs == {"radius": 3.0, "colours": ("red",)}
    assert isinstance(outer.shape.knobs["radius"], float)
    assert (outer.global_, outer.inner.rate) == (5, 0.1)
    circle = outer.shape.build(size=7)
    assert isinstance(circle, Circle) and circle.size == 7 and circle.radius == 3.0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shape": "circel"}, "shape: unknown shape-of-test, got 'circel'; did you mean 'circle'?"),
        ({"shape": "circle", "shape_conf": {"radus": 1}}, "shape_conf.radus: no such knob of 'circle', got 1; did you mean 'radius'?"),
        ({"shape": "circle", "shape_conf": {"size": 1}}, "shape_conf.size: no such knob"),
        ({"shape": "circle", "shape_conf": {"radius": "big"}}, "shape_conf.radius:"),
        ({"shape": "circle", "shape_conf": {"radius": True}}, "shape_conf.radius: "),
        ({"shape": "circle", "shape_conf": {"colours": ["red", 1]}}, "shape_conf.colours: item 1"),
        ({"shape": "circle", "iner": {}}, "iner: no such key, got {}; did you mean 'inner'?"),
        ({"shape": "circle", "inner": {"rat": 1}}, "inner.rat: no such key, got 1; did you mean 'rate'?"),
        ({"shape": "circle", "inner": 3}, "inner: expected a section of keys, got 3"),
        ({"shape": "circle", "several": {"square": {"sid": 1}}}, "several.square.sid: no such knob"),
        ({"shape": "circle", "several": {"sqare": {}}}, "several: unknown shape-of-test, got 'sqare'; did you mean 'square'?"),
        ({"shape": "circle", "name": 3}, "name:"),
        ({}, "shape: expected the name of a part, got None; known: circle, square"),
    ],
)
def test_mistakes_name_path_value_and_nearest(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(Outer, data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_complains_with_its_path() -> None:
    with pytest.raises(ConfigError, match="circle_conf: radius: must not be negative"):
        read(Outer, {"shape": "circle", "shape_conf": {"radius": -1}}).shape.build(size=1)
    with pytest.raises(ConfigError, match="nobody here wires size"):
        SHAPES.part("circle").build()


def test_sections_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        read(Outer, {"shape": "circle"}).name = "y"  # type: ignore[misc]


def test_dump_reads_back_the_same() -> None:
    outer = read(Outer, {"shape": "circle", "several": {"square": {"side": 3}, "circle": {}}, "inner": {"count": 2}})
    again = read(Outer, parse_yaml(to_yaml(outer), "again"))
    assert again == outer
    assert dump(again)["several"] == {"square": {"side": 3}, "circle": {"radius": 1.0, "colours": ["red"]}}


def test_no_parts_of_a_kind_read_back_as_none() -> None:
    outer = read(Outer, {"shape": "circle", "several": {}})
    assert dump(outer)["several"] == {} and read(Outer, parse_yaml(to_yaml(outer), "text")) == outer


def test_naming_another_part_drops_the_knobs_of_the_one_before() -> None:
    below = {"shape": "circle", "shape_conf": {"radius": 2.0}, "inner": {"rate": 1.0, "count": 1}}
    assert merge(below, {"shape": "square"}) == {"shape": "square", "inner": {"rate": 1.0, "count": 1}}
    assert merge(below, {"shape_conf": {"radius": 3.0}, "shape": "square"})["shape_conf"] == {"radius": 3.0}
    assert merge(below, {"shape": "circle"})["shape_conf"] == {"radius": 2.0}
    assert override(below, ["inner.rate=1e-3"])["inner"] == {"rate": 1e-3, "count": 1}


@pytest.mark.parametrize("word", ["inner.rate", "=3", ""])
def test_assignments_need_a_key_and_a_value(word: str) -> None:
    with pytest.raises(ConfigError, match="--set: expected key=value"):
        override({}, [word])


def test_yaml_traps() -> None:
    assert parse_yaml("a: 1e-3\nb: on\nc: 1.5\nd: 0x10\ne: 7\nf: -2E5\ng: null\nh: true", "t") == {
        "a": 1e-3, "b": "on", "c": 1.5, "d": 16, "e": 7, "f": -2e5, "g": None, "h": True,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"t: line 2: key stands twice, got 'a'"):
        parse_yaml("a: 1\na: 2", "t")
    with pytest.raises(ConfigError, match="t:1: not valid YAML"):
        parse_yaml("!!python/object/apply:os.system ['true']", "t")
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{k}: &{k} [{','.join([f'*{j}'] * 9)}]\n" for j, k in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(ConfigError, match="more than"):
        parse_yaml(bomb, "t")


def test_extends_has_one_parent_and_deep_merge(tmp_path) -> None:
    (tmp_path / "parent.yaml").write_text("a: {b: 1, c: 2}\nshape: circle\nshape_conf: {radius: 2}\n")
    (tmp_path / "child.yaml").write_text("extends: parent.yaml\na: {c: 3}\nshape: square\n")
    assert load_yaml(tmp_path / "child.yaml") == {"a": {"b": 1, "c": 3}, "shape": "square"}
    with pytest.raises(ConfigError, match="did you mean 'child.yaml'"):
        load_yaml(tmp_path / "chid.yaml")
    (tmp_path / "self.yaml").write_text("extends: self.yaml\n")
    with pytest.raises(ConfigError, match="extends names another file"):
        load_yaml(tmp_path / "self.yaml")


def test_difference_lists_every_leaf() -> None:
    assert difference({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "d": 4}) == ["a.b: 1 -> 3", "c: 2 -> None", "d: None -> 4"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_survives_yaml(value: float) -> None:
    assert parse_yaml(to_yaml(Inner(rate=value)), "t")["rate"] == value


def test_registry_refuses_doubles_strangers_and_unwired_arguments() -> None:
    with pytest.raises(ConfigError, match="registered already"):
        SHAPES.register("circle")(Circle)
    with pytest.raises(ConfigError, match="is no subclass of Shape"):
        SHAPES.register("text")(str)  # type: ignore[type-var]

    class Odd(Shape):
        def __init__(self, weight: int) -> None:
            self.weight = weight

    with pytest.raises(ConfigError, match="argument 'weight' stands before"):
        SHAPES.register("odd")(Odd)
