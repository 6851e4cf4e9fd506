"""The plan of an ablation: which experiments are trained, in which order, and which cell of which published table each fills.

An experiment starts from a preset or from another experiment (``extends``) and changes some settings (``set``); with
``predictor`` it starts from that experiment and also uses its trained feature predictor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from toolkit.config import load_yaml, merge, override, read
from toolkit.data.writing import write_text
from toolkit.errors import ConfigError, nearest
from toolkit.evaluate.material import SYSTEMS
from toolkit.evaluate.published_scores import TABLES
from toolkit.evaluate.scoring import RECORDING

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KINDS = (*SYSTEMS, RECORDING)


@dataclass(frozen=True)
class Variant:
    """An experiment of the plan."""

    extends: str = ""  # FILE.yaml beside the plan, or another experiment
    predictor: str = ""  # an experiment whose feature predictor is used
    set_: Mapping[str, Any] = field(default_factory=dict)  # laid over what it extends

    @property
    def parent(self) -> str:
        return self.extends or self.predictor


@dataclass(frozen=True)
class Cell:
    """What fills a row of a table: an experiment and the kind of its speech (``free``, ``copy``, ..., or ``recording``)."""

    experiment: str
    speech: str = "free"


@dataclass(frozen=True)
class Table:
    """Cells by the key of the published row, and the one that the others are compared with."""

    reference: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class WrittenTable:
    """A table as it is written."""

    reference: str
    cells: Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """A plan as it is written; its mappings are read one by one."""

    experiments: Mapping[str, Any]
    tables: Mapping[str, Any]
    set_: Mapping[str, Any] = field(default_factory=dict)
    likelihood_seconds: float = 3.0


@dataclass(frozen=True)
class Plan:
    """A checked plan.

    Attributes: ``set`` is laid over every preset, ``assignments`` of the command line over every experiment.
    ``likelihood_seconds``: of each utterance, from its start.
    """

    path: Path
    experiments: Mapping[str, Variant]
    tables: Mapping[str, Table]
    set: Mapping[str, Any]
    assignments: Sequence[str]
    likelihood_seconds: float

    def folder(self, work: Path, experiment: str) -> Path:
        """Where an experiment stands."""
        return work / "exp" / f"{self.path.stem}-{experiment}"

    def configuration(self, experiment: str) -> dict[str, Any]:
        """The settings of an experiment, without defaults."""
        return override(self._configuration(experiment), self.assignments)

    def _configuration(self, experiment: str) -> dict[str, Any]:
        variant = self.experiments[experiment]
        if variant.parent in self.experiments:
            below = self._configuration(variant.parent)
        else:
            below = merge(load_yaml(self.path.parent / variant.parent), self.set)
        return merge(below, variant.set_)


class Step(NamedTuple):
    """One call of the recipe: phase ``data``, ``predictor`` or ``vocoder``; each needs all of the phase before."""

    phase: str
    experiment: str
    predictor: str = ""


def load_plan(path: Path, assignments: Sequence[str] = ()) -> Plan:
    """Read and check a plan.

    Args:
        assignments: settings ``a.b=value`` over those of every experiment.

    Raises:
        ConfigError: with the dotted path of what is wrong.
    """
    written = read(Written, load_yaml(path))
    experiments = {str(name): read(Variant, value or {}, f"experiments.{name}") for name, value in written.experiments.items()}
    tables = {str(name): _table(str(name), value) for name, value in written.tables.items()}
    plan = Plan(path, experiments, tables, written.set_, assignments, written.likelihood_seconds)
    for name in experiments:
        _check_variant(plan, name)
    for name in tables:
        _check_table(plan, name)
    return plan


def steps(plan: Plan) -> list[Step]:
    """Everything that is to be run, in an order in which it can be."""
    own = [name for name, variant in plan.experiments.items() if not variant.predictor]
    made = [Step(phase, name) for phase in ("data", "predictor") for name in own]
    return made + [Step("vocoder", name, variant.predictor) for name, variant in plan.experiments.items()]


def write_configurations(plan: Plan, out: Path) -> None:
    """``out/EXPERIMENT.yaml`` for each experiment."""
    for name in plan.experiments:
        write_text(out / f"{name}.yaml", yaml.safe_dump(plan.configuration(name), sort_keys=False, width=120))


def _table(name: str, value: Any) -> Table:
    table = read(WrittenTable, value, f"tables.{name}")
    cells = {str(key): read(Cell, cell, f"tables.{name}.cells.{key}") for key, cell in table.cells.items()}
    return Table(table.reference, cells)


def _check_variant(plan: Plan, name: str) -> None:
    where, variant, known = f"experiments.{name}", plan.experiments[name], plan.experiments
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: names a folder, got {name!r}; letters, digits, '.', '_' and '-'")
    if not variant.parent:
        raise ConfigError(f"{where}.extends: missing, and it has no default; a preset such as small.yaml, or another experiment")
    if variant.predictor and (variant.predictor not in known or known[variant.predictor].predictor):
        own = [other for other, its in known.items() if not its.predictor]
        raise ConfigError(f"{where}.predictor: an experiment that trains one, got {variant.predictor!r}; {nearest(variant.predictor, own)}")
    chain = [name]
    while (parent := known[chain[-1]].parent) in known:
        if parent in chain:
            raise ConfigError(f"{where}.extends: goes in a circle, got {' -> '.join([*chain, parent])}")
        chain.append(parent)
    if not parent.endswith(".yaml"):
        raise ConfigError(f"experiments.{chain[-1]}.extends: no such experiment, got {parent!r}; {nearest(parent, known)}")


def _check_table(plan: Plan, name: str) -> None:
    where, table = f"tables.{name}", plan.tables[name]
    if name not in TABLES:
        raise ConfigError(f"{where}: no such published table, got {name!r}; {nearest(name, TABLES)}")
    rebuilt = [key for key, entry in TABLES[name].entries.items() if entry.rebuilt]
    for key, cell in table.cells.items():
        if key not in rebuilt:
            raise ConfigError(f"{where}.cells.{key}: no such row to fill, got {key!r}; {nearest(key, rebuilt)}")
        if cell.experiment not in plan.experiments:
            near = nearest(cell.experiment, plan.experiments)
            raise ConfigError(f"{where}.cells.{key}.experiment: no such experiment, got {cell.experiment!r}; {near}")
        if cell.speech not in KINDS:
            raise ConfigError(f"{where}.cells.{key}.speech: no such kind, got {cell.speech!r}; {nearest(cell.speech, KINDS)}")
    if table.reference not in table.cells:
        raise ConfigError(f"{where}.reference: no such cell, got {table.reference!r}; {nearest(table.reference, table.cells)}")
