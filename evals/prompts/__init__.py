"""From a sample to the requests that ask it."""

from evals.prompts.render import questions_of, request_of
from evals.prompts.template import Template

__all__ = ["Template", "questions_of", "request_of"]
