"""A profile for people, beside profile.json: profile.html, and profile.md with its figures as SVG files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.files import write_bytes
from evals.perf.stored import Profile
from reports import figures, page
from reports import format as fmt
from reports.garbage import uncollected
from reports.markdown import escape
from reports.plots import Plot
from reports.profile_figures import plots
from reports.profile_tables import conditions, sentence, tables, unknown
from reports.tables import to_markdown

SCRIPTS = ("link.js", "report.js")
_IDENTITY = ("model", "options", "procedure", "fit", "peaks", "environment")


@uncollected()
def build_profile_report(profile: Profile) -> Path:
    """Write the reports into the profile's folder.

    Returns:
        The page's path.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder, drawn = profile.path.parent, plots(profile.document)
    for plot in drawn:
        write_bytes(folder / f"{_file(plot)}.svg", figures.export(plot.figure()), durable=False)
    page.write(folder / "profile.md", markdown(profile.document, drawn))
    return page.write(folder / "profile.html", html(profile, drawn))


def html(profile: Profile, drawn: list[Plot]) -> str:
    """The whole page."""
    document = profile.document
    name, found = str(document["model"].get("model")), conditions(document)
    context = {
        "title": f"Profile of {name}",
        "heading": name,
        "kicker": "Profile: latency, memory, energy",
        "byline": f"{profile.name} · {str(document['created'])[:16].replace('T', ' ')}",
        "verdict": sentence(document),
        "tone": "" if document["valid"] else "bad",
        "notices": [f"{kind.capitalize()}: {text}" for kind, text in found if kind],
        "notes": [text for kind, text in found if not kind],
        "facts": facts(document),
        "figures": {plot.name: plot.markup() for plot in drawn},
        "tables": {one.name: one for one in tables(document)},
        "unknown": unknown(document),
        "command": document["command"],
        "identity": [(key, json.dumps(document[key], indent=2, ensure_ascii=False)) for key in _IDENTITY],
    }
    return page.render("profile.html.jinja", context, scripts=SCRIPTS)


def facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where and how it was measured, as label and value."""
    procedure, count = document["procedure"], fmt.plural(document["procedure"]["repeats"], "process", "processes")
    return [
        ("Device", where(document)),
        ("Precision", str(document["model"].get("dtype") or fmt.DASH)),
        ("Fresh processes", count),
        ("Clean passes", f"{procedure['least_s']:g} s, {procedure['least_requests']} requests and more"),
        ("Hardware", str(document["hardware_key"])),
    ]


def where(document: Mapping[str, Any]) -> str:
    """The card's name, or the processor's."""
    hardware = document["environment"]["before"]["hardware"]
    return str(hardware.get("device_name") or hardware.get("cpu") or fmt.DASH)


def markdown(document: Mapping[str, Any], drawn: list[Plot]) -> str:
    """The report for a pull request or a mail."""
    procedure = document["procedure"]
    lines = [f"# Profile of {escape(str(document['model'].get('model')))}", ""]
    lines.append(
        f"{escape(where(document))} · {escape(str(document['model'].get('dtype')))} · {document['created']} · "
        f"{fmt.plural(procedure['repeats'], 'process', 'processes')}, passes of at least {procedure['least_s']:g} s "
        f"and {procedure['least_requests']} requests · hardware {document['hardware_key']}"
    )
    lines += ["", f"`{document['command'].replace('`', '')}`", "", escape(sentence(document)), ""]
    if found := conditions(document):
        lines += [f"- **{kind}**: {escape(text)}" if kind else f"- {escape(text)}" for kind, text in found] + [""]
    for one in tables(document):
        lines += [to_markdown(one), ""]
    for plot in drawn:
        lines += [f"![{plot.title}]({_file(plot)}.svg)", ""]
    if missing := unknown(document):
        listed = [f"- {escape(titles)}: {escape(reason)}" for titles, reason in missing]
        lines += ["## Not known here", "", *listed, ""]
    return "\n".join(lines)


def _file(plot: Plot) -> str:
    return plot.name.replace("-", "_")
