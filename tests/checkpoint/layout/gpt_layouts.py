"""The layouts in which tests train the small GPT, and what each declares to Headway."""

from __future__ import annotations

from gpt_cuts import EXPERT_HIDDEN, EXPERTS, HIDDEN, KV_HEADS, VOCABULARY, At, K, Plan, Q, V

from headway.checkpoint.layout.declared import Layout, Numbered, Pad, Part, Replicated, Rule, Split, Tied

PLANS = {
    "one": Plan(),
    "ddp4": Plan(dp=4, shard="ddp"),
    "fsdp4": Plan(dp=4, shard="fsdp"),  # FSDP2, which is ZeRO-3: rows are dealt unevenly, and one rank has nothing of `blend`
    "hsdp2x2": Plan(dp=4, shard="hsdp"),  # FSDP2 over two, twice
    "zero4": Plan(dp=4, shard="zero1"),
    "tp4": Plan(tp=4),  # two ranks share each key and value head
    "tp2pp2": Plan(tp=2, pp=2, stages=((0, 1), (2,))),
    "tp2dp2": Plan(tp=2, dp=2),
    "sp2dp2": Plan(tp=2, dp=2, sequence=True),
    "pp2dp2": Plan(pp=2, dp=2, stages=((0, 2), (1,))),  # interleaved: the first stage comes again after the second
    "ep2dp2": Plan(dp=4, ep=2),
    "fsdp2tp2": Plan(dp=2, tp=2, shard="fsdp", dtensors=True),
    "zero2tp2": Plan(dp=2, tp=2, shard="zero1"),
    "tp2pp2dp2": Plan(tp=2, pp=2, dp=2, stages=((0,), (1, 2))),
    "one-tied": Plan(tied=True),
    "fsdp4-tied": Plan(dp=4, shard="fsdp", tied=True),
    "tp2pp2-tied": Plan(tp=2, pp=2, stages=((0, 1), (2,)), tied=True),
}
BY_DTENSOR = {"embed.weight": 0, "head.weight": 0, "attention.o.weight": 1, "mlp.down.weight": 1}  # what DTensors can say


def layout_of(at: At) -> Layout | None:
    """What a rank declares. FSDP2 needs nothing: its DTensors say it."""
    plan, rules = at.plan, [*_stage(at), *_experts(at), *_tensor(at)]
    axes = {"tp": (at.tp, plan.tp), "pp": (at.pp, plan.pp), "ep": (at.ep, plan.ep)}
    axes = {name: axis for name, axis in axes.items() if axis[1] > 1}
    return Layout([*rules, Replicated("*")], axes) if axes else None


def _stage(at: At) -> list[Rule]:
    if at.plan.pp == 1:
        return []
    return [Numbered("layers.{}", numbers=at.layers), *([Tied("head.weight", "embed.weight")] if at.plan.tied else [])]


def _experts(at: At) -> list[Rule]:
    if at.plan.ep == 1:
        return []
    return [
        Numbered("experts.{}", start=at.ep * (EXPERTS // at.plan.ep)),
        Split("*.feed.gate_up", dim=0, axis="ep"),
        Split("*.feed.down", dim=0, axis="ep"),
    ]


def _tensor(at: At) -> list[Rule]:
    if at.plan.tp == 1:
        return []
    copies = max(1, at.plan.tp // KV_HEADS)
    rules: list[Rule] = [
        Split("*.qkv.*", dim=0, axis="tp", parts=(Q, Part(K, copies=copies), Part(V, copies=copies))),
        Split("*.o.weight", dim=1, axis="tp"),
        Split("*.mlp.gate_up.weight", dim=0, axis="tp", parts=(HIDDEN, HIDDEN)),
        Split("*.experts.*.gate_up.weight", dim=0, axis="tp", parts=(EXPERT_HIDDEN, EXPERT_HIDDEN)),
        Split("*.feed.gate_up", dim=1, axis="tp", parts=(EXPERT_HIDDEN, EXPERT_HIDDEN)),
        Split("*.experts.*.down.weight", dim=1, axis="tp"),
        Split("*.mlp.down.weight", dim=1, axis="tp"),
        Split("*.feed.down", dim=2, axis="tp"),
        Split("embed.weight", dim=0, axis="tp"),
        Pad("embed.weight", dim=0, size=VOCABULARY),
    ]
    if not at.plan.tied:
        rules += [Split("head.weight", dim=0, axis="tp"), Pad("head.weight", dim=0, size=VOCABULARY)]
    if at.plan.dtensors:
        rules = [rule for rule in rules if not (isinstance(rule, Split) and rule.pattern.removeprefix("*.") in _SAID)]
    return rules


_SAID = {"o.weight", "mlp.down.weight", "embed.weight", "head.weight"}
