"""State of a module's own: what its `state_dict` has beside parameters and buffers comes back, or is refused by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from in_memory import stored
from torch import nn
from torch.nn.utils import prune

from headway.checkpoint.state.walk import take
from headway.errors import CheckpointMismatch, UsageError


def through(made: Any, fresh: Any, **options: Any) -> set[str]:
    """Save one module and load the other. The names in the checkpoint."""
    checkpoint = stored({"m": made})
    checkpoint.load({"m": fresh}, **options)
    return checkpoint.objects.keys() | checkpoint.values.keys()


class Counter(nn.Linear):
    """As torch's documentation writes it."""

    _version = 3

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen, self.version = 0, None

    def _save_to_state_dict(self, to: Any, prefix: str, keep: bool) -> None:
        super()._save_to_state_dict(to, prefix, keep)
        to[prefix + "seen"] = torch.tensor(self.seen)

    def _load_from_state_dict(self, of: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        self.seen, self.version = int(of.pop(prefix + "seen")), metadata.get("version")
        super()._load_from_state_dict(of, prefix, metadata, *rest)


def counted(count: int) -> Counter:
    counter = Counter(2, 2)
    counter.seen = count
    return counter


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_what_a_class_saves_by_its_own_method_comes_back_with_its_version() -> None:
    made, fresh = counted(7), counted(0)
    weight = fresh.weight
    assert through(made, fresh) == {"m.weight", "m.bias", "m._own_state", "m._own_state.entries.seen"}
    assert (fresh.seen, fresh.version) == (7, 3)
    assert fresh.weight is weight
    assert same_weights(made, fresh)


def test_a_newer_class_is_told_the_version_that_was_saved() -> None:
    class Newer(Counter):
        _version = 4

    fresh = Newer(2, 2)
    through(counted(7), fresh)
    assert (fresh.seen, fresh.version) == (7, 3)


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: inner,
        lambda inner: nn.Sequential(inner),
        lambda inner: nn.ModuleDict({"a": nn.ModuleList([nn.ReLU(), inner])}),
        lambda inner: torch.optim.swa_utils.AveragedModel(inner),
        lambda inner: Wrapper(inner),
        lambda inner: nn.ParameterDict({"w": nn.Parameter(torch.ones(1))}) and nn.Sequential(counted(1), inner),
    ],
)
def test_it_comes_back_wherever_the_module_is(wrap: Callable[[Any], nn.Module]) -> None:
    made, fresh = wrap(counted(7)), wrap(counted(0))
    through(made, fresh)
    assert [each.seen for each in fresh.modules() if isinstance(each, Counter)][-1] == 7
    assert same_weights(made, fresh)


def test_wrappers_are_in_no_name_of_it() -> None:
    assert through(Wrapper(counted(7)), Wrapper(counted(0))) == through(counted(7), counted(0))
    bare = counted(0)
    stored({"m": Wrapper(counted(5))}).load({"m": bare})
    assert bare.seen == 5


class Keeper:
    """Hooks that keep something beside a module, as a library hangs them into modules of others."""

    def __init__(self, module: nn.Module, value: Any) -> None:
        self.value, self.module, self.after = value, module, 0
        module.register_state_dict_post_hook(lambda *args: self.save(*args))
        module.register_load_state_dict_pre_hook(self.load)
        module.register_load_state_dict_post_hook(self.loaded)

    def save(self, module: nn.Module, state: Any, prefix: str, metadata: Any) -> None:
        state[prefix + "kept"] = self.value

    def load(self, module: nn.Module, state: Any, prefix: str, *rest: Any) -> None:
        self.value = state.pop(prefix + "kept")

    def loaded(self, module: nn.Module, incompatible: Any) -> None:
        self.after += 1


@pytest.mark.parametrize("value", [5, "five", [1, 2], {"a": (1, None)}, torch.arange(3), [torch.ones(2), torch.zeros(1)]])
def test_what_a_hook_adds_comes_back(value: Any) -> None:
    made, fresh = nn.Sequential(nn.Linear(1, 1)), nn.Sequential(nn.Linear(1, 1))
    Keeper(made[0], value)
    keeper = Keeper(fresh[0], None if isinstance(value, str | int | dict) else [])
    names = through(made, fresh)
    assert "m.0._own_state" in names
    assert str(keeper.value) == str(value)
    assert type(keeper.value) is type(value)
    assert same_weights(made, fresh)
    assert keeper.after == 1


class Nested(nn.Module):
    """With a dictionary of its own form."""

    def __init__(self, seen: int) -> None:
        super().__init__()
        self.inner, self.seen = nn.Linear(2, 2), seen

    def state_dict(self, **_: Any) -> Any:
        return {"inside": self.inner.state_dict(), "seen": self.seen}

    def load_state_dict(self, state: Any) -> None:  # type: ignore[override]  # as people write it
        self.inner.load_state_dict(state["inside"])
        self.seen = state["seen"]


def test_a_state_dict_of_another_form_comes_back() -> None:
    made, fresh = Nested(7), Nested(0)
    through(made, fresh)
    assert fresh.seen == 7
    assert same_weights(made, fresh)


class Renaming(nn.Linear):
    """Calls its weight otherwise in dictionaries."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.register_state_dict_post_hook(
            lambda module, state, prefix, _: state.update({prefix + "w": state.pop(prefix + "weight")})
        )
        self.register_load_state_dict_pre_hook(
            lambda module, state, prefix, *_: state.update({prefix + "weight": state.pop(prefix + "w")})
        )


def test_a_hook_that_only_renames_keeps_no_second_copy() -> None:
    made, fresh = Renaming(), Renaming()
    assert through(made, fresh) == {"m.weight", "m.bias"}
    assert same_weights(made, fresh)


class Packed(nn.Module):
    """Gives its packed weight in two halves, which are copies, and takes them back."""

    def __init__(self) -> None:
        super().__init__()
        self.packed = nn.Parameter(torch.randn(4, 2))
        self.register_state_dict_post_hook(self._split)
        self.register_load_state_dict_pre_hook(self._join)

    @staticmethod
    def _split(module: Any, state: Any, prefix: str, _: Any) -> None:
        state[prefix + "a"], state[prefix + "b"] = (each.clone() for each in state.pop(prefix + "packed").chunk(2))

    @staticmethod
    def _join(module: Any, state: Any, prefix: str, *_: Any) -> None:
        state[prefix + "packed"] = torch.cat([state.pop(prefix + "a"), state.pop(prefix + "b")])


def test_a_hook_that_gives_copies_gets_them_back() -> None:
    made, fresh = Packed(), Packed()
    through(made, fresh)
    assert same_weights(made, fresh)


class OnlyAdapters(nn.Module):
    """Leaves its frozen base out of dictionaries, as adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.adapter = nn.Linear(2, 2), nn.Linear(2, 2)
        self.register_state_dict_post_hook(lambda module, state, prefix, _: self.leave_out(state))

    def leave_out(self, state: Any) -> None:
        for key in [key for key in state if "base" in key]:
            del state[key]


def test_parameters_that_a_hook_leaves_out_are_kept_all_the_same() -> None:
    made, fresh = OnlyAdapters(), OnlyAdapters()
    through(made, fresh)
    assert same_weights(made, fresh)


class Derived(nn.Linear):
    """Computes something from its weight when it is loaded."""

    total = 0.0

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.total = self.weight.sum().item()


def test_what_is_derived_while_loading_is_derived_from_what_was_loaded() -> None:
    made, fresh = Derived(2, 2), Derived(2, 2)
    assert through(made, fresh) == {"m.weight", "m.bias"}
    assert fresh.total == made.weight.sum().item()


class Extra(Counter):
    def __init__(self, seen: int, extra: str) -> None:
        super().__init__(2, 2)
        self.seen, self.extra = seen, extra

    def get_extra_state(self) -> Any:
        return {"extra": self.extra}

    def set_extra_state(self, state: Any) -> None:
        self.extra = state["extra"]


def test_own_state_and_extra_state_come_back_together() -> None:
    fresh = Extra(0, "new")
    assert "m._extra_state" in through(Extra(7, "old"), fresh)
    assert (fresh.seen, fresh.extra) == (7, "old")


def quantized(seed: int, *, dtype: Any = torch.qint8) -> Any:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2, bias=False)))
    return torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=dtype)


def static(seed: int, *, scheme: str) -> Any:
    torch.manual_seed(seed)
    net = nn.Sequential(
        torch.ao.quantization.QuantStub(), nn.Conv1d(2, 3, 1), nn.ReLU(), torch.ao.quantization.DeQuantStub()
    ).eval()
    net.qconfig = torch.ao.quantization.get_default_qconfig(scheme)
    torch.ao.quantization.prepare(net, inplace=True)
    net(torch.randn(4, 2, 5))
    return torch.ao.quantization.convert(net)


@pytest.mark.filterwarnings(
    "ignore:torch.ao.quantization is deprecated", "ignore:torch.quantize_per", "ignore:.*range for observers"
)
@pytest.mark.parametrize(
    ("make", "size"),
    [
        (quantized, (1, 3)),
        (lambda seed: quantized(seed, dtype=torch.float16), (1, 3)),
        (lambda seed: static(seed, scheme="fbgemm"), (1, 2, 5)),  # by channel
        (lambda seed: static(seed, scheme="qnnpack"), (1, 2, 5)),
    ],
)
def test_quantized_modules_come_back(make: Callable[[int], Any], size: tuple[int, ...]) -> None:
    made, fresh, x = make(0), make(1), torch.ones(size)
    assert not torch.equal(made(x), fresh(x))
    through(made, fresh)
    assert torch.equal(made(x), fresh(x))


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
def test_what_can_not_be_kept_of_a_quantized_module_is_refused_with_the_module() -> None:
    net = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 3)), {nn.LSTM}, dtype=torch.qint8)
    with pytest.raises(
        UsageError, match=r"m\.0\._all_weight_values\.0, a PackedParameter, has state of its own that can't be kept"
    ):
        take({"m": net})


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # of torchmetrics, which counts updates of this process
@pytest.mark.parametrize("persistent", [True, False])
def test_metrics_come_back_if_they_are_persistent(persistent: bool) -> None:
    import torchmetrics as metrics

    def make() -> Any:
        both = metrics.MetricCollection({"mean": metrics.MeanMetric(), "cat": metrics.CatMetric()})
        both.persistent(persistent)
        return both

    made, fresh = make(), make()
    for value in (3.0, 5.0):
        made.update(torch.tensor(value))
    names = through(made, fresh)
    assert bool(names) == persistent
    if persistent:
        assert fresh["mean"].compute() == 4.0
        assert fresh["cat"].compute().tolist() == [3.0, 5.0]


def test_own_state_that_the_checkpoint_lacks_is_a_mismatch_and_may_be_left() -> None:
    checkpoint = stored({"m": nn.Linear(2, 2)})
    fresh = counted(9)
    with pytest.raises(CheckpointMismatch, match=r"m\._own_state is in the state \(a plain value\), but not in the checkpoint"):
        checkpoint.load({"m": fresh})
    checkpoint.load({"m": fresh}, strict=False)
    assert fresh.seen == 9
    assert torch.equal(fresh.weight, torch.from_numpy(checkpoint.arrays["m.weight"].view("f4")))


def test_own_state_that_is_not_selected_stays() -> None:
    made, fresh = counted(7), counted(9)
    through(made, fresh, select=lambda name: "_own_state" not in name)
    assert fresh.seen == 9
    assert same_weights(made, fresh)
    other = counted(8)
    through(made, other, select=lambda name: name == "none")
    assert other.version is None  # nothing of it was loaded, so nothing was called


def test_what_the_load_takes_no_notice_of_is_told() -> None:
    class Forgetful(nn.Linear):
        def _save_to_state_dict(self, to: Any, prefix: str, keep: bool) -> None:
            super()._save_to_state_dict(to, prefix, keep)
            to[prefix + "seen"] = torch.tensor(1)

    with pytest.warns(
        UserWarning, match=r"m: state_dict\(\) of a Forgetful gave seen, of which its load_state_dict\(\) takes no notice"
    ):
        through(Forgetful(1, 1), Forgetful(1, 1))


def test_values_that_can_not_be_kept_are_refused_with_the_module_and_the_entry() -> None:
    class Odd(nn.Linear):
        def _save_to_state_dict(self, to: Any, prefix: str, keep: bool) -> None:
            super()._save_to_state_dict(to, prefix, keep)
            to[prefix + "odd"] = object()

    with pytest.raises(
        UsageError, match=r"m\.1, a Odd, has state of its own that can't be kept.*entries\.odd is a builtins\.object"
    ):
        take({"m": nn.Sequential(nn.ReLU(), Odd(1, 1))})


def test_extra_state_that_nothing_takes_back_is_refused() -> None:
    class Half(nn.Linear):
        def get_extra_state(self) -> Any:
            return 1

    with pytest.raises(UsageError, match="m is a Half with get_extra_state and no set_extra_state"):
        take({"m": Half(1, 1)})


TORCH_S_OWN: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
    "instance norm": lambda: nn.InstanceNorm1d(3, affine=True, track_running_stats=True),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)),
    "spectral norm of old": lambda: nn.utils.spectral_norm(nn.Linear(3, 3)),
    "orthogonal": lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)),
    "pruned": lambda: prune.random_unstructured(nn.Linear(3, 3), "weight", 0.5),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(nn.Linear(3, 3)),
    "lstm": lambda: nn.LSTM(3, 3),
    "dictionary": lambda: nn.ParameterDict({"a": nn.Parameter(torch.randn(2))}),
}


@pytest.mark.parametrize("kind", TORCH_S_OWN)
def test_modules_of_torch_have_no_more_than_their_parameters_and_buffers_and_come_back(kind: str) -> None:
    torch.manual_seed(0)
    made = TORCH_S_OWN[kind]()
    made(torch.randn(4, 3)) if isinstance(made, nn.Linear | nn.Sequential) else None
    fresh = TORCH_S_OWN[kind]()
    names = through(made, fresh)
    assert names == {f"m.{name}" for name in made.state_dict()} - {"m.n_averaged"} | (
        {"m.n_averaged"} if kind == "averaged" else set()
    )
    for name, value in made.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_dictionaries_that_are_no_ordered_ones_and_others_with_other_keys_are_handled() -> None:
    class Plain(nn.Linear):
        def state_dict(self, *args: Any, **options: Any) -> Any:
            return dict(super().state_dict(*args, **options))

    made, fresh = Plain(2, 2), Plain(2, 2)
    assert through(made, fresh) == {"m.weight", "m.bias"}
    assert same_weights(made, fresh)

    class Numbered(nn.Linear):
        def state_dict(self, *args: Any, **options: Any) -> Any:
            return OrderedDict({1: self.weight})

    with pytest.raises(UsageError, match=r"m: state_dict\(\) of a Numbered gives no dictionary with names as keys"):
        take({"m": Numbered(2, 2)})
