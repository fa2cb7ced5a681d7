"""Any set of runs ranked as far as their differences can be told, and no further."""

from evals.leaderboard.board import build_board
from evals.leaderboard.folder import read_folder, update_folder
from evals.leaderboard.outputs import board_csv, board_json, board_markdown, write_board
from evals.leaderboard.records import Board, Cell, Column, Entry, Group

__all__ = [
    "Board",
    "Cell",
    "Column",
    "Entry",
    "Group",
    "board_csv",
    "board_json",
    "board_markdown",
    "build_board",
    "read_folder",
    "update_folder",
    "write_board",
]
