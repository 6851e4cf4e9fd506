"""``report.html``: an experiment to listen to and to look at, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.config import to_yaml
from toolkit.data.writing import write_text
from toolkit.evaluate.comparison import comparison
from toolkit.evaluate.markdown import to_html
from toolkit.evaluate.material import TRAININGS, Experiment
from toolkit.evaluate.page import details, document, escape, picture, section, table
from toolkit.evaluate.report_utterances import utterances
from toolkit.evaluate.results import error_rows, score_rows, stop_rows
from toolkit.evaluate.scoring import Scores, columns
from toolkit.train import pictures

EXPECT = (
    "What to expect: a voice that was trained for minutes on a small corpus speaks the kind of sentences that it was trained on, audibly"
    " synthetic, and nothing else; it shows that every part works together. Natural speech of any text needs hours of one voice, such as"
    " the 24 hours of LJSpeech, and days on a GPU. Numbers help to compare two systems within one report; which one sounds better is for"
    " the ear to say."
)
NEWEST_IMAGES = 4


def write_report(
    experiment: Experiment, scores: Scores, facts: Mapping[str, str], command: str, date: str, others: Sequence[Experiment] = ()
) -> Path:
    """Write the page into the experiment, whole or not at all. It is as complete as the experiment is.

    Args:
        facts: versions and hardware.
        command: what makes this page again.
        date: the only thing on the page that changes when nothing else did.
        others: experiments to set beside this one.
    """
    parts = {
        "scores": ("Scores", _scores(experiment, scores)),
        "listen": ("Listen", utterances(experiment, scores)),
        "compare": ("Comparison", comparison(experiment, scores, others) if others else ""),
        "training": ("Training", _training(experiment)),
        "settings": ("Configuration and environment", _settings(experiment, facts, command)),
    }
    filled = {key: part for key, part in parts.items() if part[1]}
    links = "".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, (title, _) in filled.items())
    sections = "".join(section(key, title, body) for key, (title, body) in filled.items())
    body = (
        f'<a class="skip" href="#content">Skip to the content</a>{_header(experiment, date)}'
        f'<nav aria-label="Contents"><ul>{links}</ul></nav><main id="content">{sections}</main>'
    )
    path = experiment.folder / "report.html"
    write_text(path, document(f"{experiment.name}: speech report", body))
    return path


def _header(experiment: Experiment, date: str) -> str:
    config = experiment.config
    chain = [f"{config[kind]} {kind}" for kind in ("encoder", "attention", "decoder", "postnet", "vocoder") if config.get(kind)]
    facts = {
        "Corpus": f"{experiment.corpus}, {len(experiment.utterances)} sentences of its evaluation set" if experiment.corpus else "",
        "System": " → ".join(["text", *chain, "speech"]),
        "Input": f"{config.get('tokenizer', 'char')} symbols",
        "Sound": f"{experiment.sample_rate} Hz, a mel frame every {1000 * experiment.hop_seconds:.4g} ms" if experiment.sample_rate else "",
        "Synthesis": _inexact(experiment),
        "Trained": "; ".join(filter(None, (_progress(experiment, name) for name in TRAININGS))) or "not yet",
    }
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value)
    return (
        f"<header class='top'><p class='kicker'>Text-to-speech experiment</p><h1>{escape(experiment.name)}</h1><dl>{rows}</dl>"
        f"<p class='lead'>{escape(EXPECT)}</p>\n<p class='date'>Made on {escape(date)}</p>\n</header>"
    )


def _inexact(experiment: Experiment) -> str:
    """What was asked for at synthesis that changes the speech a little; empty where it is exact."""
    facts = experiment.utterances[0].facts if experiment.utterances else {}
    precision, folds = facts.get("precision", "fp32"), facts.get("folds", 1)
    said = [f"{precision} arithmetic where a part has it" if precision != "fp32" else "", f"vocoder in {folds} folds" if folds != 1 else ""]
    return ", ".join(filter(None, said))


def _progress(experiment: Experiment, training: str) -> str:
    rows = experiment.rows(training)
    planned = experiment.config.get(training, {}).get("max_steps", "?")
    return f"{training} {rows[-1].get('step', '?')} of {planned} steps" if rows else ""


def _scores(experiment: Experiment, scores: Scores) -> str:
    head, rows = score_rows(scores)
    if not rows or len(head) == 1:
        return ""
    count = len(experiment.utterances)
    parts = [table([escape(c) for c in head], _escaped(rows), f"Mean ± standard deviation over {count} utterances", "wide")]
    if scores.errors:
        head, rows = error_rows(scores)
        parts.append(table([escape(c) for c in head], _escaped(rows), f"Word errors, judged by {scores.recogniser}"))
    else:
        parts.append(f"<p class='quiet'>Speech recogniser: {escape(scores.recogniser)}.</p>")
    head, rows = stop_rows(experiment)
    if rows:
        parts.append(table([escape(c) for c in head], _escaped(rows), "What ended the free-running utterances"))
    terms = "".join(f"<dt>{escape(c.title)}</dt><dd>{escape(c.definition)}</dd>" for c in columns().values())
    return "".join(parts) + details("How the scores are defined", f"<dl class='terms'>{terms}</dl>")


def _training(experiment: Experiment) -> str:
    parts = []
    for name, title in TRAININGS.items():
        rows, card = experiment.rows(name), experiment.card(name)
        body = _curves(title, rows) if rows else ""
        if not experiment.utterances:
            body += _newest_images(experiment.folder / name / "images")
        body += details("Training card", to_html(card, level=4)) if card else ""
        parts.append(f"<h3>{escape(title)}</h3>{body}" if body else "")
    gap = {name.replace("_", " "): f"{value:.4g}" if isinstance(value, float) else str(value) for name, value in experiment.gap().items()}
    if gap:
        rows_of_gap = [[escape(name), escape(value)] for name, value in gap.items()]
        parts.append(table(["Measure", "Value"], rows_of_gap, "Teacher forcing against free running on the dev set"))
    return "".join(parts)


def _curves(title: str, rows: Sequence[Mapping[str, object]]) -> str:
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        step, loss = row.get("step"), row.get("loss")
        if isinstance(step, (int, float)) and isinstance(loss, (int, float)):
            curves.setdefault(str(row.get("split", "train")), []).append((step, loss))
    if not curves:
        return ""
    last = ", ".join(f"{split} {points[-1][1]:.4g} at step {points[-1][0]:g}" for split, points in curves.items())
    return f"<div class='pictures'>{picture(pictures.png(pictures.losses(curves)), f'Loss of the {title}: {last}', f'Loss: {last}')}</div>"


def _newest_images(folder: Path) -> str:
    """What the training drew last, while there is no speech to show."""
    newest: dict[str, Path] = {}
    for path in sorted(folder.glob("*-*.png")):
        newest[path.stem.rpartition("-")[0]] = path
    shown = [picture(path.read_bytes(), path.stem, path.stem) for path in list(newest.values())[:NEWEST_IMAGES]]
    return f"<div class='pictures'>{''.join(shown)}</div>" if shown else ""


def _settings(experiment: Experiment, facts: Mapping[str, str], command: str) -> str:
    rows = [[escape(name), escape(value)] for name, value in facts.items()]
    again = f"<p>Made by <code>{escape(command)}</code></p>" if command else ""
    return (
        again
        + table(["What", "Version"], rows, "Environment")
        + details("Resolved configuration", f'<pre tabindex="0"><code>{escape(to_yaml(experiment.config))}</code></pre>')
    )


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in rows]
