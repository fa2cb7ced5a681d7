"""The commands about this installation and its models: `doctor`, `serve`."""

from __future__ import annotations

import argparse


def doctor(options: argparse.Namespace) -> int:
    """Check the installation."""
    from evals.cli.doctor_views import show_checks, show_machine

    if options.scorers:
        from evals.doctor import check_scorers

        return show_checks(check_scorers(), as_json=options.json)
    if options.determinism:
        from evals.cli.doctor_views import show_noise
        from evals.cli.selection import noise_of

        return show_noise(*noise_of(options), options.out, as_json=options.json)
    from evals.identity import environment
    from model_adapters.devices import device_report

    show_machine(environment({}), device_report(), as_json=options.json)
    return 0


def serve(options: argparse.Namespace) -> int:
    """Serve a model."""
    from evals.cli.selection import model_options, service_of
    from model_adapters import load_adapter
    from model_adapters.serving import Service
    from model_adapters.serving import serve as serve_adapter

    how = Service(**service_of(options))
    adapter = load_adapter(options.model, **model_options(options))
    try:
        return serve_adapter(adapter, how)
    finally:
        adapter.close()
