"""Rules of thumb of two widely read articles beside what the arithmetic says for the spec at hand, and where they err.

The rules are told in other words, their figures as they stand there; docs/seeds.md has the articles. A rule is judged
by what it says to do: it holds for a spec where the choice it leads to has the smaller bill, and errs where it has not.
Nothing is recommended because a rule says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from baseload.planner.compare.hybrids import is_from_zero, is_steady
from baseload.planner.compare.row import Comparison, Row, Status
from baseload.planner.cost import cost_of
from baseload.planner.decisions.break_even import BreakEven, Scaled, break_even
from baseload.planner.decisions.cold_start_ways import ColdStarts, cold_share_at, minimum_of, percent, timeout_of
from baseload.planner.spec.model import RunpodTarget
from baseload.planner.sweep import with_settings

if TYPE_CHECKING:
    from baseload.planner.cost import Deadline
    from baseload.planner.decisions.worker_worth import Worths
    from baseload.planner.prices import PriceBook
    from baseload.planner.spec.model import ModelSpec

FIRST, SECOND = "the first article", "the second article"
DAY_S, DAY_MIN = 86_400, 1440
FAST_S = Decimal("0.5")
"""The first article's real-time answer."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One question, the sum, and the rule."""

    topic: str
    computed: str
    """What the arithmetic says for this spec."""
    rule: str
    source: str
    holds: bool | None
    """Whether the rule leads to the same choice here; None where that cannot be told."""
    errs: str
    """Where it does not hold; empty where nothing was found."""

    def to_json(self) -> dict[str, Any]:
        """As it is."""
        return {
            "topic": self.topic,
            "computed": self.computed,
            "rule": self.rule,
            "source": self.source,
            "holds": self.holds,
            "errs": self.errs,
        }


def advice(
    found: Comparison, spec: ModelSpec, book: PriceBook, worths: Worths | None, ways: ColdStarts | None
) -> tuple[Advice, ...]:
    """All that can be computed for the spec; `worths` and `ways` are its own."""
    return (
        *_dedicated_or_not(found, spec, book),
        *_hybrid(worths),
        *_cheapest_serverless(found),
        *_endpoint_for_few(found, spec, book),
        *_sagemaker_serverless(found),
        *_one_always_on(ways),
        *_shorter_timeout(spec, ways, book),
        *_warm_and_fast(spec, ways, book),
        *_cheapest_that_stays(found, book),
        *_batch_in_parallel(spec, book),
        *_compliance(found, spec),
        *_own_network(found, spec),
    )


def pair(found: Comparison, book: PriceBook) -> tuple[Row, Row] | None:
    """The spec's own serverless row, else the cheapest, and the cheapest that is always on; None where one lacks."""
    ranked = [row for row in found.of(Status.RANKED) if row.spec is not None and not row.another_precision]
    plain = [row for row in ranked if row.target not in ("hybrid", "sagemaker-serverless")]
    flexible = [row for row in plain if is_from_zero(row, book)]
    steady = [row for row in plain if is_steady(row, book)]
    if not flexible or not steady:
        return None
    return next((row for row in flexible if row.own), flexible[0]), steady[0]


def thresholds(serverless: Row, spec: ModelSpec) -> tuple[tuple[str, str, Decimal], ...]:
    """The articles' limits between serverless and dedicated in requests a day of this spec: rule, source, limit."""
    assert serverless.spec is not None, "has a bill"
    performance, tokens = serverless.spec.performance, spec.traffic.tokens if spec.traffic is not None else None
    found = [("serverless below 100,000 requests a day, a fixed machine above", FIRST, Decimal(100_000))]
    if performance.service_time_s:
        busy = Decimal("0.4") * DAY_S * performance.concurrency / performance.service_time_s
        found.append(("dedicated from 40 % utilisation of a GPU", SECOND, busy))
    if tokens is not None and tokens.prompt + tokens.output:
        each = tokens.prompt + tokens.output
        found.append(("dedicated from 500,000 tokens a minute", SECOND, 500_000 * DAY_MIN / each))
    return tuple(found)


def _dedicated_or_not(found: Comparison, spec: ModelSpec, book: PriceBook) -> Iterator[Advice]:
    both = pair(found, book)
    rate = spec.traffic.requests_per_day if spec.traffic is not None else None
    if both is None or not rate:
        return
    serverless, dedicated = both
    answer = break_even(serverless, dedicated, spec, book)
    if answer.requests_per_day is None:
        return
    cheaper = {serverless.id: "serverless", dedicated.id: "dedicated"}.get(answer.cheaper or "")
    told = f"{cheaper} is the cheaper" if cheaper else "both cost the same within 2 %"
    for rule, source, limit in thresholds(serverless, spec):
        choice = "serverless" if rate < limit else "dedicated"
        yield Advice(
            topic="serverless or dedicated",
            computed=f"at {rate:,f} requests a day {told}; {changes(answer)}",
            rule=rule,
            source=source,
            holds=None if cheaper is None else choice == cheaper,
            errs=_wrong_between(answer, serverless, limit),
        )


def changes(answer: BreakEven) -> str:
    """The crossings in words."""
    if answer.why and answer.requests_per_day is None:
        return answer.why
    if not answer.crossings:
        return f"the order never changes between {_span(answer)} requests a day"
    return "; ".join(
        f"from {rounded(each.above)} requests a day on {each.cheaper_above} is the cheaper" for each in answer.crossings
    )


def rounded(rate: Decimal) -> str:
    """Three digits: no traffic is known better."""
    return f"{Decimal(f'{rate:.3g}').normalize():,f}"


def _span(answer: BreakEven) -> str:
    low, high = answer.requests_per_day or (Decimal(0), Decimal(0))
    return f"{rounded(low)} and {rounded(high)}"


def _wrong_between(answer: BreakEven, serverless: Row, limit: Decimal) -> str:
    """The rates at which the rule's choice is the dearer, where the order changes at most once."""
    said = f"here it means {limit:,.0f} requests a day"
    low, high = answer.requests_per_day or (Decimal(0), Decimal(0))
    if len(answer.crossings) > 1:
        return f"{said}; the order changes {len(answer.crossings)} times"
    if not answer.crossings:
        if answer.cheaper is None:
            return f"{said}; both cost the same at any rate"
        always_serverless = answer.cheaper == serverless.id
        wrong = (limit, high) if always_serverless else (low, limit)
        return f"{said}: wrong from {rounded(wrong[0])} to {rounded(wrong[1])}" if wrong[0] < wrong[1] else ""
    (crossing,) = answer.crossings
    if crossing.cheaper_below != serverless.id:
        return f"{said}; here it is the other way round: serverless is the cheaper above {rounded(crossing.above)}"
    near, far = sorted((crossing.above, limit))
    return f"{said}: wrong from {rounded(near)} to {rounded(far)}"


def _hybrid(worths: Worths | None) -> Iterator[Advice]:
    if worths is None or worths.price_ratio is None or not worths.workers:
        return
    saved = ", ".join(
        percent(each.billed_share if each.saved_share is None else each.saved_share) for each in worths.workers[:4]
    )
    told = f"a base of {worths.base} pays" if worths.base else "no base pays"
    yield Advice(
        topic="a dedicated base with a serverless burst",
        computed=f"{told}: one machine after the other would save {saved} of a serverless worker, and costs "
        f"{percent(worths.price_ratio)} of one",
        rule="a dedicated base, serverless for the peaks",
        source=SECOND,
        holds=worths.base > 0,
        errs="" if worths.base else "where no machine saves more of a worker than it costs",
    )


def _cheapest_serverless(found: Comparison) -> Iterator[Advice]:
    rows = [row for row in found.of(Status.RANKED) if not row.another_precision and row.spec is not None]
    ours = next((row for row in rows if row.target == "runpod" and row.mode == "flex"), None)
    theirs = next((row for row in rows if row.target == "modal" and row.mode == "from zero"), None)
    if ours is None or theirs is None:
        return
    one, other = ours.monthly_usd.expected or Decimal(0), theirs.monthly_usd.expected or Decimal(0)
    told = f"RunPod {ours.gpus} ${one:,.2f}, Modal {theirs.gpus} ${other:,.2f} a month"
    at_least = ", which is at least this (CPU and memory)" if theirs.caveats else ""
    for rule, source, holds in (
        ("RunPod where cost comes first", FIRST, one < other),
        ("Modal is the cheapest serverless below 40 %", SECOND, other < one),
    ):
        errs = "" if holds else "the two articles contradict each other; the card and the idle time decide"
        yield Advice(
            topic="the cheapest serverless",
            computed=told + at_least,
            rule=rule,
            source=source,
            holds=None if at_least and other <= one else holds,
            errs=errs,
        )


def _endpoint_for_few(found: Comparison, spec: ModelSpec, book: PriceBook) -> Iterator[Advice]:
    rows = [row for row in found.of(Status.RANKED) if row.spec is not None and not row.another_precision]
    endpoint = next((row for row in rows if row.target == "lambda-sagemaker"), None)
    both = pair(found, book)
    if endpoint is None or both is None:
        return
    few = Decimal(10)
    fixed, flexible = (Scaled(row=row, spec=spec, book=book).month_usd(few) for row in (endpoint, both[0]))
    if fixed is None or flexible is None:
        return
    yield Advice(
        topic="a function in front of an endpoint",
        computed=f"at 10 requests a day {endpoint.gpus} costs ${fixed:,.2f} a month, {both[0].id} ${flexible:,.2f}",
        rule="Lambda with SageMaker pays below 10 requests a day (elsewhere in it: 100)",
        source=FIRST,
        holds=fixed < flexible,
        errs="" if fixed < flexible else "an endpoint that stays costs the same at no requests",
    )


def _sagemaker_serverless(found: Comparison) -> Iterator[Advice]:
    refused = [row for row in found.of(Status.IMPOSSIBLE) if row.target == "sagemaker-serverless"]
    for row in refused[:1]:
        yield Advice(
            topic="serverless on AWS",
            computed=f"not possible: {'; '.join(row.reasons)}",
            rule="SageMaker Serverless from 100 to 10,000 requests a day",
            source=FIRST,
            holds=False,
            errs="for every model that needs a GPU" if any("GPU" in why for why in row.reasons) else "for this model",
        )


def _one_always_on(ways: ColdStarts | None) -> Iterator[Advice]:
    way = next((each for each in ways.ways if each.change.startswith("workers.min")), None) if ways else None
    if ways is None or way is None or way.more_usd is None or way.cold_share is None:
        return
    each = "" if way.usd_per_avoided is None else f", ${way.usd_per_avoided:.4f} for each that no longer waits"
    yield Advice(
        topic="cold starts",
        computed=f"`{way.change}`: ${way.more_usd:,.2f} more a month{each}; {percent(ways.cold_share)} of the requests "
        f"meet a cold start without it, {percent(way.cold_share)} with it",
        rule="one worker always on does away with cold starts",
        source=SECOND,
        holds=way.cold_share < Decimal("0.0005"),
        errs="" if way.cold_share < Decimal("0.0005") else "for the requests that find that worker full",
    )


def _shorter_timeout(spec: ModelSpec, ways: ColdStarts | None, book: PriceBook) -> Iterator[Advice]:
    own = timeout_of(spec)
    if ways is None or own is None or own < 2:
        return
    half = own // 2 if isinstance(own, int) else own / 2
    share = cold_share_at(with_settings(spec, half, minimum_of(spec)), book)
    if share is None:
        return
    yield Advice(
        topic="idle timeout",
        computed=f"at {own} s {percent(ways.cold_share)} of the requests meet a cold start, at {half} s "
        f"{percent(share)}",
        rule="a shorter idle timeout makes fewer cold starts",
        source=FIRST,
        holds=share < ways.cold_share,
        errs="" if share < ways.cold_share else "everywhere: a worker that stops sooner is there less often",
    )


def _warm_and_fast(spec: ModelSpec, ways: ColdStarts | None, book: PriceBook) -> Iterator[Advice]:
    warm = next((each.change for each in ways.ways if each.change.startswith("workers.min")), None) if ways else None
    service_s = spec.performance.service_time_s
    if warm is None or service_s is None:
        return
    response = cost_of(with_settings(spec, timeout_of(spec), minimum_of(spec) + 1), book).response
    if response is None or response.p95_s is None:
        return
    holds = response.p95_s <= FAST_S
    full = "for the requests that find that worker full"
    slow = f"a warm worker spares the cold start, not the service: {_short(service_s)} s on average"
    yield Advice(
        topic="an answer within 500 ms",
        computed=f"with `{warm}` 95 % of the requests are answered within {_short(response.p95_s)} s",
        rule="for less than 500 ms keep one instance warm",
        source=FIRST,
        holds=holds,
        errs="" if holds else slow if service_s * 3 > FAST_S else full,
    )


def _short(seconds: Decimal) -> str:
    """Two digits: no latency is known better."""
    return f"{Decimal(f'{seconds:.2g}').normalize():f}"


def _cheapest_that_stays(found: Comparison, book: PriceBook) -> Iterator[Advice]:
    rows = [row for row in found.of(Status.RANKED) if row.spec is not None and not row.another_precision]
    steady = [row for row in rows if row.target not in ("hybrid", "sagemaker-serverless") and is_steady(row, book)]
    theirs = next((row for row in steady if row.target == "lambda-cloud"), None)
    if theirs is None:
        return
    best = steady[0]
    holds = best.monthly_usd.expected == theirs.monthly_usd.expected
    yield Advice(
        topic="the cheapest that stays",
        computed=f"{best.id} ${best.monthly_usd.expected or 0:,.2f} a month; of Lambda's cloud {theirs.gpus} "
        f"${theirs.monthly_usd.expected or 0:,.2f}",
        rule="above 40 % a VM of Lambda's cloud: the lowest always-on cost",
        source=SECOND,
        holds=holds,
        errs="" if holds else "wherever a smaller card is enough, or the same one is rented for less",
    )


def _batch_in_parallel(spec: ModelSpec, book: PriceBook) -> Iterator[Advice]:
    target = spec.target
    if not isinstance(target, RunpodTarget) or spec.traffic is None or spec.traffic.batch is None:
        return
    if target.workers_max < 2 or target.workers_min > 1:
        return
    many, one = cost_of(spec, book), cost_of(replace(spec, target=replace(target, workers_max=1)), book)
    usd, alone_usd = many.monthly_usd.expected, one.monthly_usd.expected
    if usd is None or alone_usd is None or many.deadline is None or one.deadline is None:
        return
    in_time, alone_in_time = _in_time(many.deadline), _in_time(one.deadline)
    yield Advice(
        topic="a batch a day",
        computed=f"on {target.workers_max} workers ${usd:,.2f} a month{_late(in_time)}, on one "
        f"${alone_usd:,.2f}{_late(alone_in_time)}",
        rule="a daily batch in parallel on many GPUs",
        source=FIRST,
        holds=in_time and (not alone_in_time or usd <= alone_usd),
        errs="where one is in time: each worker more is a cold start and an idle time more"
        if alone_in_time and usd > alone_usd
        else "",
    )


def _in_time(deadline: Deadline) -> bool:
    return deadline.takes_s is not None and deadline.takes_s <= deadline.within_s


def _late(in_time: bool) -> str:
    return "" if in_time else ", which is too late"


def _billed(found: Comparison) -> tuple[Row, ...]:
    """Those with a bill, whatever their speed."""
    return (*found.of(Status.RANKED), *found.of(Status.SAME_SPEED))


def _compliance(found: Comparison, spec: ModelSpec) -> Iterator[Advice]:
    if not spec.requires.compliance:
        return
    passing, said = dict[str, None](), dict[str, str]()
    for row in _billed(found):
        if not row.requires_broken and not row.not_known:
            passing[row.target] = None
        for each in row.not_known:
            if each.startswith("compliance ") and "not known: ask" not in each:
                said.setdefault(row.target, each.removeprefix("compliance "))
    claims = "".join(f"; {target}: {claim}" for target, claim in said.items())
    yield Advice(
        topic="compliance",
        computed=f"confirmed of {', '.join(passing) or 'nobody who has a bill'}{claims}",
        rule="Cerebrium, or PremAI where nobody wants to run GPUs",
        source=SECOND,
        holds=None if not passing else bool({"cerebrium", "premai"} & passing.keys()),
        errs="an article is no attestation, and others have some too: ask for the report",
    )


def _own_network(found: Comparison, spec: ModelSpec) -> Iterator[Advice]:
    if not spec.requires.own_infrastructure:
        return
    rows = _billed(found)
    outside = {row.target for row in rows if any("own_infrastructure" in why for why in row.requires_broken)}
    unknown = {row.target for row in rows if any("own_infrastructure" in why for why in row.not_known)}
    inside = list(dict.fromkeys(row.target for row in rows if row.target not in outside | unknown))
    yield Advice(
        topic="private data",
        computed=f"in an account of one's own: {', '.join(inside) or 'nothing that has a bill'}; in the provider's "
        f"cloud: {', '.join(sorted(outside)) or 'none'}",
        rule="all platforms have VPC or private endpoints",
        source=FIRST,
        holds=False if outside else None,
        errs="wherever it runs in the provider's cloud" if outside else "",
    )
