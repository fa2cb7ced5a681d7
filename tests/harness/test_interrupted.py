"""Ctrl-C: every command says what is true for it, and only those that continue say so."""

from __future__ import annotations

import argparse

import pytest

import run_eval
from evals.cli.interrupted import ANSWERS, after_interrupt


@pytest.mark.parametrize("command", sorted(run_eval.COMMANDS))
def test_only_commands_that_keep_answers_promise_to_continue(command: str) -> None:
    said = after_interrupt(argparse.Namespace(command=command))
    assert said.startswith("Interrupted. ")
    assert said.endswith(".")
    assert (ANSWERS in said) == (command in ("run", "presets"))


def test_a_gate_that_asks_more_samples_keeps_them() -> None:
    assert ANSWERS in after_interrupt(argparse.Namespace(command="gate", extend=True))
    assert "There may be no verdict" in after_interrupt(argparse.Namespace(command="gate", extend=False))


@pytest.mark.parametrize("command", ["compare", "doctor", "profile"])
def test_the_program_prints_it_and_ends_with_130(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(run_eval.COMMANDS, command, interrupted)
    assert run_eval.main([command, *(["a", "b"] if command == "compare" else [])]) == 130
    assert capsys.readouterr().err == after_interrupt(argparse.Namespace(command=command)) + "\n"
