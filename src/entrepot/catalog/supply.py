"""The vendors, upstreams and models of a catalog file."""

import re
from typing import cast, get_args
from urllib.parse import urlsplit

from entrepot.catalog.contents import MOST_OPERATIONS, ClientGone, Dialect, Model, Operation, Upstream, Vendor
from entrepot.catalog.fields import Fields, Report, good_name
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.lifecycle import Lifecycle, Version
from entrepot.kernel.text import is_plain

_LATER_UPSTREAM = ("our_balance", "capacity", "weight", "limits")
_LATER_MODEL = ("ptu", "terms")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?|v1", re.ASCII)
_OPERATIONS: tuple[Operation, ...] = get_args(Operation)


class Supply:
    """Reads what is bought."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def vendor(self, name: str, fields: Fields) -> Vendor:
        fields.text("name", required=True)
        fields.text("country")
        fields.flag("own", False)
        fields.done("terms", "products", "bill")
        return Vendor(name, dict(fields.table))

    def upstream(self, name: str, fields: Fields) -> Upstream:
        vendor = fields.text("vendor", required=True)
        endpoint = fields.inner("endpoint") or Fields(self.report, fields.path, {"dialect": "builtin"})
        if not fields.has("endpoint"):
            self.report.add(fields.path, 'endpoint is missing: { dialect = "openai", url = "https://…/v1", key = … }.')
        dialect = endpoint.choice("dialect", "openai", ("openai", "azure", "builtin"), ("anthropic", "gemini"))
        url = self._url(endpoint, dialect)
        api_version = self._api_version(endpoint, dialect)
        zone = endpoint.text("zone")
        key = endpoint.inner("key")
        env = key.text("env") if key else ""
        file = key.text("file") if key else ""
        if key:
            if dialect == "builtin":
                self.report.add(key.path, "The built-in model needs no key: remove it.")
            elif bool(env) == bool(file):
                self.report.add(key.path, 'key is either { env = "NAME" } or { file = "…" }.')
            key.done("vault", "kms")
        endpoint.done("proxy", "headers")
        gone = fields.inner("client_gone")
        do = gone.choice("do", "drain", ("drain", "cancel")) if gone else "drain"
        seconds = gone.whole("seconds", 120, least=1) if gone else 120
        if seconds > 120:
            self.report.add((*fields.path, "client_gone", "seconds"), "seconds is at most 120.")
        if gone:
            gone.done("tokens")
        fields.done(*_LATER_UPSTREAM)
        return Upstream(
            id=name, vendor=vendor, dialect=cast("Dialect", dialect), url=url, zone=zone, key_env=env, key_file=file,
            client_gone=cast("ClientGone", do), drain_seconds=seconds, api_version=api_version,
        )  # fmt: skip

    def _url(self, endpoint: Fields, dialect: str) -> str:
        url = endpoint.text("url")
        if dialect == "builtin":
            if url:
                self.report.add(endpoint.at("url"), "The built-in model has no address: remove url.")
            return ""
        if not url:
            example = "https://NAME.openai.azure.com" if dialect == "azure" else "https://api.openai.com/v1"
            self.report.add(endpoint.path, f'url is missing, for example "{example}".')
            return ""
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good, parts = False, None
        if parts is not None and (parts.username or parts.password or parts.query or parts.fragment):
            self.report.add(endpoint.at("url"), "url holds no user, password, query or fragment.")
        elif not good or url != url.strip() or any(each.isspace() for each in url):
            self.report.add(endpoint.at("url"), "url starts with https:// or http:// and names a host.")
        elif parts is not None and dialect == "azure" and re.search(r"/openai(/v1)?/*$", parts.path):
            self.report.add(endpoint.at("url"), "An Azure resource's address ends before /openai: remove the rest.")
        return url.rstrip("/")

    def _api_version(self, endpoint: Fields, dialect: str) -> str:
        """"v1" where none is given: those paths need none."""
        version = endpoint.text("api_version")
        if dialect != "azure":
            if version:
                self.report.add(endpoint.at("api_version"), 'Only dialect = "azure" has an api_version: remove it.')
            return ""
        if version and not _API_VERSION.fullmatch(version):
            self.report.add(endpoint.at("api_version"), 'api_version is a date such as "2024-10-21", or "v1".')
        return version or "v1"

    def model(self, name: str, fields: Fields) -> Model:
        """Either `routes` and the life of the one version, or `versions` and the `default` one."""
        listed = fields.rows("versions") if fields.has("versions") else []
        if not listed:
            if fields.has("versions"):
                self.report.add(fields.at("versions"), "versions is a list of { version = …, routes = … }, or missing.")
            versions: tuple[Version, ...] = (self._version(fields, ""),)
        else:
            for each in ("routes", "lifecycle", "retires", "replaced_by"):
                if fields.has(each):
                    fields.raw(each)
                    self.report.add(fields.at(each), f"{each} stands in each of versions, where there are versions.")
            versions = tuple(self._named_version(each) for each in listed)
        context = fields.whole("context", 1, least=1, required=True)
        output_max = fields.whole("output_max", context, least=1)
        if output_max > context:
            self.report.add(fields.at("output_max"), f"output_max is at most the context of {context:,}.")
        aliases = [alias for path, alias in fields.texts("aliases") if good_name(self.report, path, alias)]
        model = Model(
            id=name, versions=versions, context=context, output_max=output_max, operations=self._operations(fields),
            default=self._default(fields, versions), aliases=tuple(dict.fromkeys(aliases)),
        )  # fmt: skip
        fields.done(*_LATER_MODEL)
        return model

    def _named_version(self, fields: Fields) -> Version:
        name = fields.text("version", required=True)
        if name:
            good_name(self.report, fields.at("version"), name)
        version = self._version(fields, name)
        fields.done()
        return version

    def _version(self, fields: Fields, name: str) -> Version:
        routes = []
        for path, route in fields.texts("routes", required=True):
            upstream, slash, model = route.partition("/")
            if not (upstream and slash and model and is_plain(model)):
                self.report.add(path, 'A route is "upstream/the vendor\'s name of the model".')
            else:
                routes.append((upstream, model))
        if fields.has("routes") and fields.table["routes"] == []:
            self.report.add(fields.at("routes"), "A model needs at least one route.")
        lifecycle = fields.choice("lifecycle", "ga", get_args(Lifecycle))
        return Version(
            name=name, routes=tuple(routes), lifecycle=cast("Lifecycle", lifecycle),
            retires_at=fields.instant("retires"), replaced_by=fields.text("replaced_by"),
        )  # fmt: skip

    def _default(self, fields: Fields, versions: tuple[Version, ...]) -> str:
        names = [each.name for each in versions]
        for place, name in enumerate(names):
            if name and name in names[:place]:
                self.report.add((*fields.path, "versions", place, "version"), f'"{name}" stands here twice.')
        default = fields.text("default")
        if default and default not in names:
            self.report.add(fields.at("default"), f"No version has this name.{did_you_mean(default, names)}")
        elif not default and len(names) > 1:
            self.report.add(fields.path, "default is missing; it names the version that deployments follow.")
        return default if default in names else names[0]

    def _operations(self, fields: Fields) -> tuple[Operation, ...]:
        found = []
        for path, operation in fields.texts("operations"):
            if operation not in _OPERATIONS:
                names = ", ".join(f'"{each}"' for each in _OPERATIONS)
                self.report.add(path, f"An operation is one of {names}.{did_you_mean(operation, _OPERATIONS)}")
            elif operation in found:
                self.report.add(path, f'"{operation}" stands here twice.')
            else:
                found.append(operation)
        if fields.has("operations") and fields.table["operations"] == []:
            self.report.add(fields.at("operations"), "A model serves at least one operation.")
        if not found:
            return MOST_OPERATIONS
        return tuple(each for each in _OPERATIONS if each in found)
