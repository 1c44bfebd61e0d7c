"""The operator's webhooks: `[operator] webhooks = [{ name, url, secret, events }]`."""

from urllib.parse import urlsplit

from entrepot.catalog.fields import Fields, good_name
from entrepot.catalog.issues import did_you_mean

#: Every kind of event that may be asked for.
EVENTS = ("balance.low", "credit.low", "budget.threshold")


def check_webhooks(operator: Fields) -> None:
    """Report every mistake; `contents.Operator.webhooks` reads what is left."""
    lines: dict[str, int] = {}
    for each in operator.rows("webhooks"):
        name = each.text("name", required=True)
        report = operator.report
        if name and good_name(report, each.at("name"), name):
            before = lines.setdefault(name, report.places.line(each.path))
            if before != report.places.line(each.path):
                report.add(each.at("name"), f'Another webhook is called "{name}" (line {before}).')
        _check_url(each)
        secret = each.inner("secret")
        if secret is None:
            report.add(each.path, 'secret is missing: { env = "NAME" } or { file = "…" }.')
        else:
            if bool(secret.text("env")) == bool(secret.text("file")):
                report.add(secret.path, 'secret is either { env = "NAME" } or { file = "…" }.')
            secret.done()
        for path, kind in each.texts("events"):
            if kind not in EVENTS:
                report.add(path, f'No event is called "{kind}".{did_you_mean(kind, EVENTS)}')
        each.done()


def _check_url(fields: Fields) -> None:
    url = fields.text("url", required=True)
    if not url:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, None
    if not good or any(each.isspace() or ord(each) < 32 for each in url):
        fields.report.add(fields.at("url"), "url starts with https:// or http:// and names a host.")
    elif parts is not None and (parts.username or parts.password or parts.fragment):
        fields.report.add(fields.at("url"), "url holds no user, password or fragment: calls are signed.")
