"""Instances that hold more than one text: candidates, a question and its context, a query and documents."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from modelservice_runtime.protocols.instances.results import AnswerParameters
from modelservice_runtime.protocols.instances.texts import NonEmpty
from modelservice_runtime.protocols.strict import StrictBody
from modelservice_runtime.tasks.inputs import (
    Candidates,
    CandidateTexts,
    Comparison,
    Comparisons,
    Question,
    Questions,
)

TEMPLATE = "This example is {}."
CandidateLabel = Annotated[str, Field(min_length=1, max_length=512)]
CandidateLabels = Annotated[list[CandidateLabel], Field(min_length=1, max_length=1024)]
Template = Annotated[str, Field(min_length=2, max_length=1024)]


class CandidatesInstance(StrictBody):
    """A text and the labels that it may have; with `multi_label` they do not exclude one another."""

    text: NonEmpty
    candidate_labels: CandidateLabels
    hypothesis_template: Template = TEMPLATE
    multi_label: bool = False


class QuestionInstance(StrictBody):
    """A question and the passage that holds the answer."""

    question: Annotated[str, Field(min_length=1, max_length=100_000)]
    context: NonEmpty


class QueryInstance(StrictBody):
    """A query and the documents that are ranked for it."""

    query: NonEmpty
    documents: Annotated[list[NonEmpty], Field(min_length=1, max_length=2048)]


def build_candidates(instances: Sequence[CandidatesInstance], _parameters: StrictBody) -> CandidateTexts:
    """Return the texts with their labels."""
    return CandidateTexts(
        [Candidates(each.text, each.candidate_labels, each.hypothesis_template, each.multi_label) for each in instances]
    )


def build_questions(instances: Sequence[QuestionInstance], parameters: AnswerParameters) -> Questions:
    """Return the questions with how many answers are wanted."""
    questions = [Question(instance.question, instance.context) for instance in instances]
    return Questions(questions, parameters.top_k, parameters.max_answer_tokens)


def build_queries(instances: Sequence[QueryInstance], _parameters: StrictBody) -> Comparisons:
    """Return the queries with their documents."""
    return Comparisons([Comparison(instance.query, instance.documents) for instance in instances])
