"""`/v1/rerank` in the shape of Cohere's and Jina's APIs, and `/v1/similarity`: one text against several."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from modelservice_runtime.protocols.instances.results import rank
from modelservice_runtime.protocols.openai_generation import Usage
from modelservice_runtime.protocols.strict import Name, StrictBody
from modelservice_runtime.tasks.inputs import Comparison, Comparisons

InputText = Annotated[str, Field(min_length=1, max_length=4_000_000)]
WHOLE = "leave it out; documents are read whole, and one that is too long is refused"


class Document(StrictBody):
    """A document; `text` is what is read."""

    text: InputText


class RerankRequest(StrictBody):
    """Body of `/v1/rerank`; without `top_n` all documents are returned."""

    unsupported: ClassVar = {
        "rank_fields": "put what is to be read into text",
        "max_chunks_per_doc": WHOLE,
        "max_tokens_per_doc": WHOLE,
        "overlap_tokens": WHOLE,
    }
    model: Name
    query: InputText
    documents: Annotated[list[InputText | Document], Field(min_length=1, max_length=2048)]
    top_n: Annotated[int, Field(ge=1, le=2048)] | None = None
    return_documents: bool = False
    user: Annotated[str, Field(max_length=512)] | None = None

    def texts(self) -> list[str]:
        """Return the documents as plain texts."""
        return [document if isinstance(document, str) else document.text for document in self.documents]

    def to_task(self) -> Comparisons:
        """Return what the task reads."""
        return Comparisons([Comparison(self.query, self.texts())])


class RankedDocument(BaseModel):
    """A document by its index, and its text when it was asked for."""

    index: int
    relevance_score: float
    document: Document | None = None


class RerankResponse(BaseModel):
    """Answer of `/v1/rerank`, the most relevant document first."""

    model: str
    results: list[RankedDocument]
    usage: Usage


class SimilarityRequest(StrictBody):
    """Body of `/v1/similarity`."""

    model: Name
    source_sentence: InputText
    sentences: Annotated[list[InputText], Field(min_length=1, max_length=2048)]
    user: Annotated[str, Field(max_length=512)] | None = None

    def to_task(self) -> Comparisons:
        """Return what the task reads."""
        return Comparisons([Comparison(self.source_sentence, self.sentences)], "source_sentence", "sentences")


class Similarity(BaseModel):
    """How alike the source and the sentence with this index are."""

    index: int
    score: float


class SimilarityResponse(BaseModel):
    """Answer of `/v1/similarity`, in the order of the sentences."""

    object: Literal["list"] = "list"
    model: str
    data: list[Similarity]
    usage: Usage


def write_ranking(scores: Sequence[float], body: RerankRequest) -> list[RankedDocument]:
    """Return the documents that were asked for, the most relevant first."""
    texts = body.texts()
    return [
        RankedDocument(
            index=index,
            relevance_score=score,
            document=Document(text=texts[index]) if body.return_documents else None,
        )
        for index, score in rank(scores)[: body.top_n]
    ]
