"""Taking a table of the file apart, field by field: each mistake becomes an issue at its place, reading goes on."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

from entrepot.catalog.issues import Issue, did_you_mean
from entrepot.catalog.lines import Path, Places
from entrepot.kernel.instants import Instant, from_datetime
from entrepot.kernel.text import plain

LATER = "not for sale yet in this version"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SECRET_NAMES = re.compile(r"(?:.*[_-])?(?:api[_-]?key|secret|token|password|passwd|authorization|bearer)", re.I)
_SECRET_VALUES = re.compile(r"(?:[sr]k-|ep_live_|ghp_|hf_|xai-|gsk_|AIza)[-_A-Za-z0-9]{16,}")


class Report:
    """Issues of one file."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.issues: list[Issue] = []

    def add(self, path: Path, *why: str) -> None:
        """A mistake at `path`: what is so, then what to do."""
        self.issues.append(Issue(line=self.places.line(path), text=self.places.shown(path), why=why))

    def hide_secrets(self, data: Mapping[str, object]) -> set[Path]:
        """Find inline secrets anywhere in the file, report each, and mask it in every later issue; their paths."""
        found = list(_secrets(data, ()))
        for path, value in found:
            self.places.hide(path, f'"{_mask(value)}"')
        for path, _ in found:
            name = _variable(data, path)
            self.add(
                path,
                f'Secrets do not belong in this file. Write key = {{ env = "{name}" }} or key = {{ file = "…" }}.',
            )
        return {path for path, _ in found}


class Fields:
    """One table: every field is taken once, `done` reports what is left."""

    def __init__(self, report: Report, path: Path, table: Mapping[str, object]) -> None:
        self.report, self.path, self.table = report, path, table
        self._taken: set[str] = set()

    def at(self, name: str) -> Path:
        return (*self.path, name)

    def has(self, name: str) -> bool:
        return name in self.table

    def raw(self, name: str) -> object:
        self._taken.add(name)
        return self.table.get(name)

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        value = self._of(name, required, "a text", lambda each: isinstance(each, str))
        return value if isinstance(value, str) else default

    def whole(self, name: str, default: int = 0, *, least: int = 0, required: bool = False) -> int:
        value = self._of(name, required, "a whole number", lambda each: type(each) is int)
        if not isinstance(value, int):
            return default
        if not least <= value < 1 << 53:
            self.report.add(self.at(name), f"{name} is a whole number of at least {least}.")
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self._of(name, False, "true or false", lambda each: isinstance(each, bool))
        return value if isinstance(value, bool) else default

    def choice(self, name: str, default: str, known: tuple[str, ...], later: Iterable[str] = ()) -> str:
        value = self.text(name, default)
        if value in later:
            self.report.add(self.at(name), f'{name} = "{value}" is {LATER}; it has {_list(known)}.')
            return default
        if value not in known:
            self.report.add(self.at(name), f"{name} is one of {_list(known)}.{did_you_mean(value, known)}")
            return default
        return value

    def instant(self, name: str, *, required: bool = False) -> Instant:
        """0 where it is not given."""
        value = self._of(name, required, "an instant", lambda each: isinstance(each, date | datetime))
        if isinstance(value, datetime) and value.tzinfo is None:
            self.report.add(self.at(name), f"{name} has no time zone. Instants are UTC: write {value.isoformat()}Z.")
        elif isinstance(value, datetime):
            return from_datetime(value)
        elif isinstance(value, date):
            self.report.add(self.at(name), f"{name} is an instant: write {value.isoformat()}T00:00:00Z.")
        return 0

    def inner(self, name: str) -> "Fields | None":
        """A table inside this one."""
        value = self._of(name, False, "a table", lambda each: isinstance(each, Mapping))
        return Fields(self.report, self.at(name), value) if isinstance(value, Mapping) else None

    def facts(self, name: str) -> dict[str, object]:
        """A table that is kept as given."""
        value = self._of(name, False, "a table", lambda each: isinstance(each, Mapping))
        return dict(value) if isinstance(value, Mapping) else {}

    def rows(self, name: str, *, required: bool = False) -> "list[Fields]":
        """A list of tables; what is no table in it is reported."""
        value = self._of(name, required, "a list", lambda each: isinstance(each, list))
        found = []
        for place, each in enumerate(value if isinstance(value, list) else []):
            path = (*self.path, name, place)
            if isinstance(each, Mapping):
                found.append(Fields(self.report, path, each))
            else:
                self.report.add(path, f"Each of {name} is a table: {{ … }}.")
        return found

    def texts(self, name: str, *, required: bool = False) -> list[tuple[Path, str]]:
        """A list of texts with their places."""
        value = self._of(name, required, "a list of texts", lambda each: isinstance(each, list))
        found = []
        for place, each in enumerate(value if isinstance(value, list) else []):
            path = (*self.path, name, place)
            if isinstance(each, str):
                found.append((path, each))
            else:
                self.report.add(path, f"Each of {name} is a text.")
        return found

    def done(self, *later: str) -> None:
        """Report every field that was not taken: those of `later` as not for sale yet, others as unknown."""
        for name in self.table:
            if name in self._taken:
                continue
            if name in later:
                self.report.add(self.at(name), f"{name} is {LATER}.", "Nothing would act on it: remove it for now.")
            else:
                why = [f'Nothing here is called "{name}".{did_you_mean(name, {*self._taken, *later})}']
                if len(self.path) == 2 and isinstance(self.table[name], Mapping):
                    why.append(f'A name with a dot in it is quoted: [{self.path[0]}."{self.path[1]}.{name}"].')
                self.report.add(self.at(name), *why)

    def _of(self, name: str, required: bool, what: str, fits: Callable[[object], bool]) -> object:
        self._taken.add(name)
        if name not in self.table:
            if required:
                self.report.add(self.path, f"{name} is missing; it is {what}.")
            return None
        value = self.table[name]
        if not fits(value):
            self.report.add(self.at(name), f"{name} is {what}.")
            return None
        return value


def exact(value: object) -> Decimal | None:
    """A price: a finite number of at least 0, exact; None for anything else."""
    if type(value) is int:
        return Decimal(value) if value >= 0 else None
    if isinstance(value, Decimal) and value.is_finite() and value >= 0:
        exponent = value.as_tuple().exponent
        return value if isinstance(exponent, int) and abs(exponent) <= 18 and value < 10**12 else None
    return None


def numbers_out_of_range(thing: object, path: Path = ()) -> Iterable[Path]:
    """Numbers that could not be written back digit by digit: infinite ones, and exponents without bound."""
    if isinstance(thing, Mapping):
        for name, each in thing.items():
            yield from numbers_out_of_range(each, (*path, str(name)))
    elif isinstance(thing, list):
        for place, each in enumerate(thing):
            yield from numbers_out_of_range(each, (*path, place))
    elif isinstance(thing, Decimal):
        exponent = thing.as_tuple().exponent
        if not isinstance(exponent, int) or abs(exponent) > 60 or abs(thing.adjusted()) > 60:
            yield path
    elif isinstance(thing, int) and abs(thing) >= 10**60:
        yield path


def good_name(report: Report, path: Path, name: str) -> bool:
    """Names go into ids, paths and files: letters, digits, '.', '_' and '-', at most 64."""
    if _NAME.fullmatch(name):
        return True
    report.add(path, f'"{plain(name)}" cannot be a name here: at most 64 letters, digits, ".", "_" and "-".')
    return False


def _list(names: Iterable[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _secrets(value: object, path: Path) -> Iterable[tuple[Path, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            here = (*path, str(name))
            if isinstance(each, str) and each and (_names_secret(here) or _SECRET_VALUES.fullmatch(each)):
                yield here, each
            else:
                yield from _secrets(each, here)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            if isinstance(each, str) and _SECRET_VALUES.fullmatch(each):
                yield (*path, place), each
            else:
                yield from _secrets(each, (*path, place))


def _names_secret(path: Path) -> bool:
    name = str(path[-1])
    return bool(_SECRET_NAMES.fullmatch(name)) or (path[0] == "upstream" and name == "key")


def _mask(secret: str) -> str:
    start, dash, _ = secret.partition("-")
    return f"{start}-…" if dash and len(start) <= 3 else "…"


def _variable(data: Mapping[str, object], path: Path) -> str:
    """A good name for the environment variable: the vendor's, else the upstream's."""
    name: object = path[1] if len(path) > 1 else ""
    group = data.get(str(path[0]))
    entry = group.get(name) if isinstance(group, Mapping) else None
    if isinstance(entry, Mapping) and isinstance(entry.get("vendor"), str):
        name = entry["vendor"]
    return re.sub(r"[^A-Z0-9]+", "_", str(name).upper()).strip("_") + "_API_KEY"
