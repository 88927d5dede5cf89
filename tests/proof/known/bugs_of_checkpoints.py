"""Seeded bugs of checkpoints: which files a root lets be named, what a state is made of, and which state a checkpoint fits."""

from __future__ import annotations

from seeded import Bug, bug

_NAMES = "checkpoint/backends/test_backend_names.py"

OF_CHECKPOINTS: tuple[Bug, ...] = (
    bug(
        "names may leave their root",
        "storage.names:_is_inside",
        '("", ".", "..")',
        '("", ".")',
        tests=f"{_NAMES}::test_a_name_to_read_that_leads_out_of_the_root_is_damage",
    ),
    bug(
        "links lead out of the root",
        "LocalBackend._existing",
        "not self._holds(path)",
        "False",
        tests=f"{_NAMES}::test_a_link_out_of_a_folder_is_not_followed",
    ),
    bug(
        "anything fits",
        "checkpoint.state.fit:_misfit",
        "wanted is not None and (known.dtype, known.shape) != (wanted.dtype, wanted.shape)",
        "False",
        tests="checkpoint/state/test_fit.py::test_each_way_into_a_load_says_the_same",
    ),
    bug(
        "what belongs to one rank is placed by the layout",
        "InventoryBuilder._place",
        "placer.place_all((each.path, each.local.shape, each.place) for each in group)",
        "self.placer.place_all((each.path, each.local.shape, each.place) for each in group)",
        tests="checkpoint/state/test_per_rank.py::test_what_is_per_rank_is_no_shard_of_a_layout",
    ),
    bug(
        "a tree may be too deep to be read again",
        "checkpoint.state.values.tree:encode",
        "depth > MAX_DEPTH",
        "False",
        tests="checkpoint/state/test_trees.py::test_what_is_kept_can_be_read_again_however_deep",
    ),
    bug(
        "numbers of numpy as keys have one name",
        "checkpoint.state.values.tree:_encode_container",
        '[below(f"key-{at}", key), below(key, each)]',
        '[below("key", key), below(key, each)]',
        tests="checkpoint/state/test_trees.py::test_numbers_of_numpy_may_be_keys",
    ),
)
