"""What most calls record is made from a plain tuple instead of an `Outcome`; nobody who reads it can tell."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headway.journal.records import Outcome, plain_outcome
from headway.journal.recovery.recovered import decode_outcome

keys = st.binary(min_size=16, max_size=16)
FIELDS = {
    "task": st.text(),
    "label": st.text(),
    "started": st.floats(0, 1e12),
    "ended": st.floats(0, 1e12),
    "attempts": st.integers(0, 1000),
    "value": st.binary(),
    "version": st.binary(),
    "inputs": st.binary(),
    "edges": st.lists(keys).map(tuple),
    "pool": st.text(),
    "made": st.floats(0, 1e12),
    "asked": st.binary(),
    "params": st.lists(st.text()).map(tuple),
}


@given(st.fixed_dictionaries(FIELDS))
def test_a_plain_outcome_has_the_bytes_of_the_same_outcome_made_at_length(fields):
    at_length = Outcome(status=0, **fields)
    body = msgspec.msgpack.encode(plain_outcome(**fields))
    assert body == msgspec.msgpack.encode(at_length)
    assert decode_outcome(body) == at_length
