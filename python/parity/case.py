"""A case: everything that decides one comparison, as a dataclass that prints as one line and parses back."""

import dataclasses


def _to_text(value):
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value)


def _from_text(text, kind):
    if kind is bool:
        return bool(int(text))
    if kind is tuple:
        return tuple(map(int, text.split("x")))
    return kind(text)


@dataclasses.dataclass(frozen=True)
class Case:
    """Base of all cases. Fields are bool, int, float, str without blanks, or tuples of int.

    A subclass has a name, KIND, and:

        draw(rng)       classmethod: a random case
        check(result)   compares; `result` (report.Result) takes note of everything that differs
        group()         the row of the summary that it belongs to
        features()      names of what it covers, counted in the summary
    """

    # Seeds the numbers; with the other fields it makes the same case again.
    seed: int

    def line(self):
        """The kind, then name=value for every field that has not its default value."""
        words = [self.KIND]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                words.append(f"{field.name}={_to_text(value)}")
        return " ".join(words)

    @classmethod
    def parse(cls, line):
        """The case that printed as this line. ValueError for any other line."""
        kind, *words = line.split()
        if kind != cls.KIND:
            raise ValueError(f"case {line!r}: the kind is {kind!r}, expected {cls.KIND!r}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values = {}
        for word in words:
            name, equals, text = word.partition("=")
            if not equals or name not in fields:
                raise ValueError(f"case {line!r}: {word!r} is no field of {kind}, expected {', '.join(fields)}")
            values[name] = _from_text(text, fields[name].type)
        return cls(**values)
