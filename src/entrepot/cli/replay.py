"""`entrepot replay TRACE`: a recorded trace through the started server, call by call, at its times."""

import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.key import revoke_key
from entrepot.cli.progress import ProgressLine
from entrepot.cli.rehearsal import PLAY, Price, customer_of, fake_vendor, money_for, name_of, prepare
from entrepot.cli.replay_text import Plan, plan_facts, plan_text, summary_text
from entrepot.cli.run import reached, settled_bill
from entrepot.cli.session import Admin, admin
from entrepot.cli.terminal import MISUSED, REFUSED, Stop, note, program, say
from entrepot.prove.recording import Recording, read_recording
from entrepot.prove.replay import Order, Progress, Replayed, alone_ms, send

_MOST_CONNECTIONS = 1_000


@verb("send a recorded trace")
@click.argument("trace", metavar="TRACE", type=click.Path(path_type=Path))
@click.option("--speed", metavar="N", default="1", help="Times faster than recorded, or max [1].")
@click.option("--customer", metavar="ID", help="As whom; without --model one of this name is made [the file's name].")
@click.option("--model", metavar="NAME", help="Call this model of yours, for real money; else a fake vendor's.")
@click.option("--stream", type=click.FloatRange(0, 1), help="Share of the calls that are streamed [0.5].")
@click.option("--calls", type=click.IntRange(1), help="Only the first so many.")
@click.option(
    "--connections", type=click.IntRange(1, _MOST_CONNECTIONS), default=128, help="Calls under way at most [128]."
)
@click.option("--base-url", metavar="URL", help="Of the API for customers, where the server's own word does not lead.")
@click.option("--dry-run", is_flag=True, help="Show what it would do and cost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(trace: Path, calls: int | None, dry_run: bool, yes: bool, **given: Any) -> None:
    """Send the calls of TRACE to this server: prompts of the recorded size, at the recorded times.

    Without --model nothing is bought: a fake vendor is started here that answers with the trace's own counts, and the
    server gets a customer, a model, prices and play money for it. With --model your own vendor answers and is paid.
    TRACE is an Azure LLM inference trace, one of Mooncake's, agent sessions, or a CSV with prompt_tokens and
    completion_tokens; plain or gzip.
    """
    recording = read_recording(trace, limit=calls or 0)
    plan = Plan(
        recording=recording, speed=_speed(given["speed"], recording), model=given["model"] or "",
        customer=given["customer"] or ("" if given["model"] else customer_of(trace)),
        stream=0.5 if given["stream"] is None else given["stream"], as_recorded=given["stream"] is None,
        connections=given["connections"],
    )  # fmt: skip
    plan = _priced(plan)
    if dry_run:
        show_or_json(plan_facts(plan), lambda _: plan_text(plan))
        return
    if not yes:
        _confirm(plan)
    facts = _replay(plan, given["base_url"] or "")
    show_or_json(facts, lambda found: summary_text(found, program()))
    if not facts["as_recorded"] or facts["failed"]:
        raise click.exceptions.Exit(REFUSED)


def _speed(text: str, recording: Recording) -> float:
    """0: as fast as it goes."""
    if text == "max" or not recording.timed:
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.001 <= speed <= 1_000_000:
        wrong = f"--speed {text!r} is not a number from 0.001 to 1,000,000, or max"
        raise Stop(wrong, do="--speed 60", exit_code=MISUSED)
    return speed


def _priced(plan: Plan) -> Plan:
    """The plan with what it will cost: with a model of one's own the server knows the price."""
    if not plan.model:
        return plan.priced(PLAY, money_for(plan.recording, plan.connections), name_of(plan.customer))
    with admin() as api:
        customer = plan.customer or _first_customer(api)
        facts = api.get("customers", customer)
        target = next((d["model"] for d in facts["deployments"] if d["name"] == plan.model), plan.model)
        book = api.get("books", facts["book"])
    rows = [row for row in book["in_force"] if row["model"] == target and not row["when"]]
    found = {row["bucket"]: Decimal(row["price"]) * 1_000_000 / row["per"] for row in rows}
    if not {"input", "output"} <= found.keys():
        raise Stop(
            f"{customer} cannot call {plan.model!r}: book {facts['book']} has no price for it now",
            do=f"{program()} deployment list --customer {customer}",
        )
    price = Price(found["input"], found.get("cached", found["input"]), found["output"], book["currency"])
    return plan.priced(price, Decimal(0), plan.model, customer)


def _first_customer(api: Admin) -> str:
    from entrepot.storage.folder import Folder

    key = Folder(options().data).read_credentials().get("api_key", "")
    for each in api.get("keys")["keys"]:
        if key and each["id"] == key[8:18]:
            return str(each["customer"])
    raise Stop("as which customer?", do="--customer ID", exit_code=MISUSED)


def _confirm(plan: Plan) -> None:
    if not sys.stdin.isatty() or options().json:
        raise Stop(
            "a replay changes this server's books, and nobody is here to ask; nothing was sent",
            do=f"{program()} replay … --yes      or --dry-run to see what it would do",
            exit_code=MISUSED,
        )
    say(plan_text(plan) + "\n")
    if not click.confirm("Send it?", default=False):
        raise Stop("nothing was sent")


def _replay(plan: Plan, base_url: str) -> dict[str, Any]:
    with _run(plan) as run:
        url = urllib.parse.urlsplit(base_url or run["base_url"])
        if url.scheme != "http" or not url.hostname:
            raise Stop(f"a replay speaks plain HTTP, not {url.geturl()!r}: run it beside the server", exit_code=MISUSED)
        reached(url.geturl())
        order = Order(
            host=url.hostname, port=url.port or 80, key=run["key"], model=run["model"], scripted=not plan.model,
            speed=plan.speed, stream_share=plan.stream, stream_as_recorded=plan.as_recorded,
            connections=plan.connections,
        )  # fmt: skip
        replayed = _send(plan, order)
    return _facts(plan, replayed, settled_bill(run["id"]), run)


@contextmanager
def _run(plan: Plan) -> Iterator[dict[str, Any]]:
    """A key for this replay, revoked at its end; without one's own model also all that leads to the fake vendor."""
    if plan.model:
        with admin() as api:
            run = api.post("runs", body={"customer": plan.customer})
        run["model"] = plan.model
        try:
            yield run
        finally:
            revoke_key(run["id"])
        return
    with fake_vendor() as port:
        with admin() as api:
            run = prepare(api, plan.customer, plan.recording, port, plan.connections)
        run["alone_ms"] = alone_ms(port, run["key"], run["model"])
        try:
            yield run
        finally:
            revoke_key(run["id"])


def _send(plan: Plan, order: Order) -> Replayed:
    line = ProgressLine(plan.recording.name, len(plan.recording.entries))
    began = time.monotonic()

    def tell(progress: Progress) -> None:
        rate = progress.done / max(time.monotonic() - began, 0.001)
        left = max(plan.seconds - progress.seconds, (line.total - progress.done) / rate if rate else 0.0)
        line.show(
            progress.done,
            f"{rate:,.0f}/s · {progress.open:,} open · {progress.errors:,} errors · {left:,.0f} s left",
        )

    try:
        return send(plan.recording, order, tell)
    except* (OSError, ConnectionError) as lost:
        raise Stop(f"the server went away: {lost.exceptions[0]}") from None
    finally:
        line.end()


def _facts(plan: Plan, replayed: Replayed, bill: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """What was sent, what the server says of it, and whether the two are one."""
    recording = plan.recording
    given = bill["input"] + bill["cached"]
    expected = plan.price.of(recording.entries)
    equal = (
        given == recording.input and bill["cached"] == recording.cached and bill["output"] == recording.output
        and Decimal(bill["charge"]) == expected
    )  # fmt: skip
    if not equal and not plan.model:
        note(f"the server's bill is not the trace: {given:,} in and {bill['output']:,} out, {bill['charge']} USD")
    if replayed.first_failure:
        note(f"the first failure: {replayed.first_failure}")
    return {
        "trace": recording.name, "kind": recording.kind, "customer": bill["customer"], "model": run["model"],
        "run": run["run"], "speed": plan.speed or "max", "seconds": round(replayed.seconds, 1),
        "calls": replayed.calls, "answered": replayed.answered, "streamed": replayed.streamed,
        "retried": replayed.retried, "failed": replayed.failed,
        "recorded": {"input": recording.input, "cached": recording.cached, "output": recording.output},
        "input": bill["input"], "cached": bill["cached"], "output": bill["output"] + bill["reasoning"],
        "charge": bill["charge"], "expected": f"{expected.normalize():f}", "currency": bill["currency"],
        "as_recorded": equal or bool(plan.model), "equal": equal, "settled": bill["settled"],
        "late_ms": {"p50": round(replayed.late_p50_ms, 2), "p99": round(replayed.late_p99_ms, 2)},
        "took_ms": {"p50": round(replayed.took_p50_ms, 2), "p99": round(replayed.took_p99_ms, 2)},
        "vendor_alone_ms": round(run["alone_ms"], 2) if "alone_ms" in run else None,
    }  # fmt: skip

