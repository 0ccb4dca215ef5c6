"""The options of a pass: fields of a dataclass, written as `name=value,name=value`.

A field's annotation says what its text may be: int, float, str, bool (`true`, `false`), a `Literal`
of strings, or a tuple of any number of those, whose items are joined by `+`. In text, a backslash
takes the special meaning from the next character.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from edgecomp.errors import Reason

SPECIAL = re.compile(r"([\\,+])")
BOOLS: Mapping[str, bool] = {"true": True, "false": False}
KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


@dataclass(frozen=True)
class Option:
    """One option of a pass.

    Attributes:
        name: the field's name.
        type: the resolved annotation of one value: int, float, str or bool.
        many: whether the field is a tuple of such values.
        choices: the only values allowed, when there is such a list.
        minimum, maximum: inclusive bounds of a number, when there are any.
        default: the value when the user says nothing.
        help: one line for people.
    """

    name: str
    type: type
    many: bool
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    default: Any
    help: str

    @property
    def allowed(self) -> str:
        """What the option may be, for people: "one of mse, minmax", "a number from 90 to 100"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = KINDS[self.type]
        if self.minimum is not None and self.maximum is not None:
            kind += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            kind += f" of at least {self.minimum:g}"
        return f"any number of items joined by '+', each {kind}" if self.many else kind


def option(
    default: Any, help: str, minimum: float | None = None, maximum: float | None = None
) -> Any:
    """A dataclass field that is an option: its default, one line of help, and inclusive bounds."""
    return dataclasses.field(
        default=default, metadata={"help": help, "minimum": minimum, "maximum": maximum}
    )


def options_of(cls: type) -> tuple[Option, ...]:
    """Every option of the pass class `cls`, in the order of its fields."""
    hints = get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        many = get_origin(hint) is tuple
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        item = get_args(hint)[0] if many else str if choices else hint
        if item not in KINDS:
            raise TypeError(f"{cls.__name__}.{field.name}: an option cannot have type {hint}")
        found.append(
            Option(
                field.name,
                item,
                many,
                choices,
                field.metadata.get("minimum"),
                field.metadata.get("maximum"),
                field.default,
                field.metadata.get("help", ""),
            )
        )
    return tuple(found)


def format_value(value: Any) -> str:
    """The text that `parse_value` turns back into `value`."""
    if isinstance(value, tuple):
        return "+".join(format_value(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return SPECIAL.sub(r"\\\1", str(value))


def format_options(values: Any) -> str:
    """The options of the pass `values`, every one, as `parse_options` reads them."""
    return ",".join(
        f"{o.name}={format_value(_normal(o, getattr(values, o.name)))}"
        for o in options_of(type(values))
    )


def format_changed(values: Any) -> str:
    """The options of the pass `values` that differ from their defaults, as people write them."""
    return ",".join(
        f"{o.name}={format_value(_normal(o, getattr(values, o.name)))}"
        for o in options_of(type(values))
        if getattr(values, o.name) != o.default
    )


def _normal(option: Option, value: Any) -> Any:
    """`value` as text would give it: a whole number given for a float is a float."""
    return float(value) if option.type is float and not option.many else value


def split_unescaped(text: str, separator: str) -> list[str]:
    """`text` cut at every `separator` that no backslash precedes; escapes are kept."""
    pieces, current, escaped = [], "", False
    for character in text:
        if character == separator and not escaped:
            pieces.append(current)
            current = ""
            continue
        current += character
        escaped = character == "\\" and not escaped
    return [*pieces, current]


def _scalar(option: Option, text: str) -> Any:
    plain = re.sub(r"\\(.)", r"\1", text)
    return BOOLS[plain.lower()] if option.type is bool else option.type(plain)


def _problem(option: Option, value: object, where: str) -> Reason:
    shown = format_value(value) if isinstance(value, tuple) else str(value)
    default = format_value(option.default) or "empty"
    return Reason(
        f"{option.name} cannot be {shown!r}",
        where,
        f"give {option.allowed} (the default is {default})",
    )


def _fits(option: Option, value: Any) -> bool:
    if option.type is float and type(value) is int:
        value = float(value)
    if type(value) is not option.type or (option.choices and value not in option.choices):
        return False
    if option.many and value == "":
        return False  # an empty item cannot be told from no items
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low = -math.inf if option.minimum is None else option.minimum
        high = math.inf if option.maximum is None else option.maximum
        return math.isfinite(value) and low <= value <= high
    return True


def check_values(values: Any, where: str) -> Iterator[Reason]:
    """A reason for every field of the pass `values` whose type, choice or bounds do not hold."""
    for each in options_of(type(values)):
        value = getattr(values, each.name)
        items = value if each.many and isinstance(value, tuple) else (value,)
        if not all(_fits(each, item) for item in items):
            yield _problem(each, value, where)


def parse_value(option: Option, text: str) -> Any:
    """The value that `text` gives `option`.

    Raises:
        ValueError: it is none of the option's type, or not allowed.
    """
    try:
        if option.many:
            value = tuple(_scalar(option, t) for t in split_unescaped(text, "+")) if text else ()
        else:
            value = _scalar(option, text)
    except (ValueError, KeyError) as error:
        raise ValueError(text) from error
    items: Sequence[Any] = value if option.many else (value,)
    if not all(_fits(option, item) for item in items):
        raise ValueError(text)
    return value


def parse_options(cls: type, text: str, where: str) -> tuple[dict[str, Any], list[Reason]]:
    """The options in `text`, by name, and a reason for each that cannot be used.

    Args:
        cls: the pass class.
        text: `name=value,name=value`, or nothing.
        where: the name reasons are given under.
    """
    known = {o.name: o for o in options_of(cls)}
    values: dict[str, Any] = {}
    reasons = []
    for piece in split_unescaped(text, ",") if text else ():
        name, equals, value = piece.partition("=")
        name = name.strip()
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? There are" if close else "there are"
            reasons.append(
                Reason(f"there is no option {name!r}", where, f"{hint} {', '.join(known)}")
            )
        elif not equals:
            reasons.append(Reason(f"{name} has no value", where, f"write {name}=VALUE"))
        elif name in values:
            reasons.append(Reason(f"{name} is given twice", where, "give it once"))
        else:
            try:
                values[name] = parse_value(known[name], value)
            except ValueError:
                reasons.append(_problem(known[name], value, where))
    return values, reasons
