"""What a language model looks like inside: what is read, computed and kept per token. Facts, no speeds.

Well-known models stand in `models.csv`, read when the first model is looked up. Rows with `hidden`, `ffn` and `vocab`
carry the whole layer shape, so that their parameter count can be computed again (the tests do); `confidence` says
whether a shape was read in its source or is remembered (`estimated`). `kv_layers` are the layers whose cache grows with
the context, `latent` the cached values per layer of models with latent attention. Collected on 2026-11-22.

A model that is not there is taken as dense and shaped like the known dense ones of its size: `Shape.known` is False,
and nothing that must be certain may rest on it.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path

from baseload.planner.spec.model import Model

TABLE = Path(__file__).with_name("models.csv")

KV_BYTES = 2
"""Per cached value: fp16 at every precision of the weights, the default of vLLM's `--kv-cache-dtype`."""

SIZE_TOLERANCE = 0.1
"""A spec whose parameters differ by more than that share from the table's row of its name is another model."""

_LIKE_7B = (7.25e9, 32, 131_072)
"""Parameters, layers and KV bytes per token of Mistral 7B, from which unknown models are scaled."""
_GROWTH = 0.4
"""Layers and KV bytes grow as parameters^0.4: 8B, 32B and 70B models of the table come out within 10 %."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One model's inside."""

    parameters: float
    active_share: float
    """Of the parameters, used for one token: below 1 with a mixture of experts."""
    embedding_parameters: float
    """Looked up, not read as a whole, in each step: the input embedding where the output does not share it."""
    layers: int
    attention_width: int
    """Heads × head dimension; 0 where not known, or where latent attention makes it another rule."""
    kv_bytes_per_token: float
    """At least: layers with a window are not counted."""
    known: bool
    """Whether the table has the model."""

    @property
    def active_parameters(self) -> float:
        """Used for one token."""
        return self.parameters * self.active_share

    def read_parameters(self, tokens: int) -> float:
        """Weights read to compute one step of `tokens` tokens: with experts, those that at least one token uses."""
        return (1 - (1 - self.active_share) ** tokens) * (self.parameters - self.embedding_parameters)


@functools.lru_cache(maxsize=1024)
def shape_of(model: Model) -> Shape:
    """The shape by the model's id and size; the weights are as many as the spec says."""
    parameters = float(model.parameters)
    row = _row(model.id, parameters)
    if row is None:
        base, layers, kv_bytes = _LIKE_7B
        growth = (parameters / base) ** _GROWTH
        return Shape(
            parameters=parameters,
            active_share=1.0,
            embedding_parameters=0.0,
            layers=max(1, round(layers * growth)),
            attention_width=0,
            kv_bytes_per_token=kv_bytes * growth,
            known=False,
        )
    return replace(row, parameters=parameters)


def _row(model_id: str, parameters: float) -> Shape | None:
    name = re.sub(r"[_\s]", "-", model_id.rpartition("/")[2].lower()).removeprefix("meta-")
    fitting = [
        (len(prefix), shape)
        for prefix, shape in _table()
        if re.match(re.escape(prefix) + r"(?![a-z0-9.])", name)
        and abs(parameters / shape.parameters - 1) <= SIZE_TOLERANCE
    ]
    return max(fitting, key=lambda item: item[0])[1] if fitting else None


@functools.cache
def _table() -> tuple[tuple[str, Shape], ...]:
    header, *lines = TABLE.read_text(encoding="utf-8").splitlines()
    columns = header.split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines]
    return tuple((prefix, _shape(row)) for row in rows for prefix in row["names"].split())


def _shape(row: dict[str, str]) -> Shape:
    parameters = float(row["parameters_b"]) * 1e9
    number = {key: int(row[key] or 0) for key in ("heads", "kv_heads", "head_dim", "latent", "hidden", "vocab")}
    values = number["latent"] or 2 * number["kv_heads"] * number["head_dim"]
    return Shape(
        parameters=parameters,
        active_share=float(row["active_b"]) * 1e9 / parameters if row["active_b"] else 1.0,
        embedding_parameters=float(number["vocab"] * number["hidden"]) if row["tied"] == "no" else 0.0,
        layers=int(row["layers"]),
        attention_width=number["heads"] * number["head_dim"],
        kv_bytes_per_token=float(int(row["kv_layers"]) * values * KV_BYTES),
        known=True,
    )
