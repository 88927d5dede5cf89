"""Seeded bugs of checkpoints: which files a root lets be named, and which state a checkpoint fits."""

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
)
