"""Language models: one protocol, and calls that are journaled, paid from a budget, retried and stopped for real.

    from headway import models

    model = models.open("gemma")                                # or "countdown", "weights.gguf", "openai:gpt-4.1-mini"
    reply = await models.sample(model, "12 + 30 =", n=4, max_tokens=4, seed=1)

`base` defines what a model is; `openai.endpoint` and `local` are two kinds, and `reference` has the models that this project
trained. `ask` and `streaming` call models; `serving` offers one over the OpenAI protocol. Importing this package needs no
extra; using a model may.
"""

from headway.models.ask import AnyModel as AnyModel
from headway.models.ask import sample as sample
from headway.models.base import Alternative as Alternative
from headway.models.base import BatchModel as BatchModel
from headway.models.base import CallPiece as CallPiece
from headway.models.base import Model as Model
from headway.models.base import Piece as Piece
from headway.models.base import Reply as Reply
from headway.models.base import Request as Request
from headway.models.base import Sample as Sample
from headway.models.base import Usage as Usage
from headway.models.limits import limit_model as limit_model
from headway.models.local.embedder import LocalEmbedder as LocalEmbedder
from headway.models.local.model import Local as Local
from headway.models.messages import Audio as Audio
from headway.models.messages import Image as Image
from headway.models.messages import Message as Message
from headway.models.messages import Part as Part
from headway.models.messages import Schema as Schema
from headway.models.messages import Text as Text
from headway.models.messages import ToolCall as ToolCall
from headway.models.messages import ToolSpec as ToolSpec
from headway.models.numbers.embedding import EmbeddingModel as EmbeddingModel
from headway.models.numbers.embedding import Embeddings as Embeddings
from headway.models.numbers.embedding import embed as embed
from headway.models.numbers.embedding import embedder as embedder
from headway.models.numbers.scoring import Scores as Scores
from headway.models.numbers.scoring import ScoringModel as ScoringModel
from headway.models.numbers.scoring import score as score
from headway.models.openai.endpoint import Endpoint as Endpoint
from headway.models.opening import open as open  # noqa: A004 - as a file is opened
from headway.models.prices import FREE as FREE
from headway.models.prices import Price as Price
from headway.models.requests import Sampling as Sampling
from headway.models.streaming import stream as stream
from headway.models.structured.answering import Answering as Answering
from headway.models.structured.answering import answer as answer
from headway.models.structured.forms import Form as Form
from headway.models.structured.forms import FormError as FormError
from headway.models.structured.forms import form_of as form_of
