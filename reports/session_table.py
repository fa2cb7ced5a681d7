"""How a run was made: its sessions, and who asked the model in each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.tables import Column, Table, count_cell, table, text_cell

_ENDED = {
    "complete": "complete",
    "incomplete": "too many failed",
    "interrupted": "interrupted",
    "failed": "stopped by an error",
    "started": "killed, or still running",
}


def session_table(manifest: Mapping[str, Any]) -> Table | None:
    """One line a session; None where the manifest tells none (imported, or made by an older version)."""
    sessions = manifest.get("sessions") or []
    if not sessions:
        return None
    rows = [
        [
            text_cell(str(session["started"])[:16].replace("T", " ")),
            text_cell(_asked_by(session)),
            text_cell(session.get("shard") or "all"),
            *(count_cell(session.get(key)) for key in ("answered", "failed")),
            count_cell(session.get("batch_size")),
            text_cell(_ENDED.get(str(session.get("status")), str(session.get("status")))),
        ]
        for session in sessions
    ]
    columns = [
        Column("Begun", numeric=False),
        Column("Asked by", numeric=False),
        Column("Part", numeric=False),
        Column("Answered"),
        Column("Failed"),
        Column("Batch", hint="most requests at a time when the session ended, the smallest worker's"),
        Column("Ended", numeric=False),
    ]
    return table("sessions", "How it was run", columns, rows, note="Results do not depend on who asks.")


def _asked_by(session: Mapping[str, Any]) -> str:
    executor, workers = session.get("executor"), session.get("workers")
    if executor == "ray":
        where = f" at {session['address']}" if session.get("address") else ""
        return f"{fmt.plural(workers or 1, 'Ray actor')}{where}"
    return fmt.plural(workers or 1, "worker process", "worker processes") if executor == "workers" else "one process"
