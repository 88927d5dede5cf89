"""The agents of one run: hired when there is work for them, given back when there has been none for a while, replaced when lost.

The pools ask for a free slot and make a worker at a post; whether an agent is there, is the staff's business. What it must never
do: lose a worker's job without an answer, or keep an agent that nobody counts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from headway.ipc.beside import Beside
from headway.pools.agents import direct
from headway.pools.agents.hirer import Hand, Hirer, Offer
from headway.pools.agents.post import Post
from headway.pools.agents.remote_agent import RemoteAgent
from headway.pools.agents.wire.facts import AgentFacts, welcome
from headway.pools.agents.wire.frames import Link
from headway.pools.agents.wire.listener import Listener
from headway.storage.large import LargeBlobs

T = TypeVar("T")
LOOK_S = 0.2
REST_S = 10.0
"""How long a post is left alone whose agent did not come, where there are others."""

_hiring = Beside("headway-hiring")


class Staff:
    """Agents by their posts.

    Args:
        hirers: who gets them.
        beat_s: how often each end gives a sign of life.
        patience_s: how long an agent may be silent before it counts as lost.
        come_s: how long an agent may take to come.
        idle_s: how long an agent stays without work.
    """

    def __init__(self, hirers: Sequence[Hirer], *, beat_s: float, patience_s: float, come_s: float, idle_s: float) -> None:
        self._beat_s, self._patience_s, self._come_s, self._idle_s = beat_s, patience_s, come_s, idle_s
        self._hirers = hirers
        bundles = [(bundle, hirer) for hirer in hirers for bundle in hirer.bundles]
        self.posts = [Post(number, bundle, hirer, self) for number, (bundle, hirer) in enumerate(bundles, 1)]
        self._invited: dict[int, Post] = {}
        self._listeners: dict[int, Listener] = {}  # by the identity of the hirer
        self._turns: dict[int, asyncio.Lock] = {}
        self._wanted: list[Post] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_free: list[Callable[[], None]] = []
        self._users = 0
        self._serial = self._invitations = 0
        self.lent = 0  # slots of code that only waits for other calls
        self._closing = False
        self.blobs = LargeBlobs("")
        self._probe: bytes | None = None
        self._watcher: asyncio.TimerHandle | None = None

    # --- what the pools ask ---------------------------------------------------------------------------------------------

    def open(self, on_free: Callable[[], None]) -> None:
        """Begin to work for a pool."""
        self._closing = False
        self._users += 1
        self._on_free.append(on_free)

    def use_blobs(self, place: str) -> None:
        """Have agents put large results where the run keeps them: a folder, or the URL of an object store."""
        if place != self.blobs.place:
            self.blobs, self._probe = LargeBlobs(place), None

    def next_number(self) -> int:
        """A number for a worker that no other has."""
        self._serial += 1
        return self._serial

    def count_slots(self) -> int | None:
        """How many slots there are in all; None while that is unknown."""
        return None if any(not post.slots for post in self.posts) else sum(post.slots for post in self.posts)

    def free(self) -> int:
        """How many slots are free, also at posts whose agents have yet to come."""
        return max(0, sum(post.spare for post in self._open_posts()) + self.lent)

    def lend(self, slots: int) -> None:
        """Count slots whose code only waits for other calls as free; take them back with a negative number."""
        self.lent += slots

    def pick(self, warm: Collection[Post] = ()) -> Post:
        """The best post for one process: where a worker waits, then where an agent is, then where one comes, with most room."""
        order = ("here", "hiring", "vacant", "resting")
        return min(
            self._open_posts(),
            key=lambda post: (post.free < 1, post not in warm, order.index(post.state), -post.spare, post.number),
        )

    def place(self, count: int) -> list[Post] | None:
        """Posts for as many processes that work together, on as few machines as can be; None while there is no room. Members on
        this machine's loopback come last: rank 0 must be where all can reach it."""
        posts = sorted(self._open_posts(), key=lambda post: (-post.free, post.number))
        whole = [post for post in posts if post.free >= count]
        found: list[Post] = []
        for post in [min(whole, key=lambda post: post.free)] if whole else posts:
            found += [post] * min(post.free, count - len(found))
        if len(found) < count <= self.free():  # in slots that are lent
            found += [max(posts, key=lambda post: post.spare)] * (count - len(found))
        if len(found) < count:
            return None
        return sorted(found, key=lambda post: (post.agent is not None and post.agent.facts.address.startswith("127."), post.number))

    def _open_posts(self) -> list[Post]:
        found = [post for post in self.posts if post.state != "resting"]
        return found or self.posts

    # --- what posts say -------------------------------------------------------------------------------------------------

    def want(self, post: Post) -> None:
        """Hire an agent for a post, together with what else is wanted in this turn of the loop."""
        post.stop_timer()
        if post.state == "hiring":
            return
        post.state = "hiring"
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._hire)
        self._wanted.append(post)

    def note_room(self, post: Post) -> None:
        """A post has another number of free slots."""
        if post.state == "here":
            post.stop_timer()
            if not post.used:
                post.timer = asyncio.get_running_loop().call_later(self._idle_s, self._dismiss, post)

    def _tell_free(self) -> None:
        for on_free in self._on_free:
            on_free()

    # --- hiring ---------------------------------------------------------------------------------------------------------

    def _hire(self) -> None:
        wanted, self._wanted = self._wanted, []
        for hirer in self._hirers:
            posts = [post for post in wanted if post.hirer is hirer]
            if posts:
                self._keep(self._hire_of(hirer, posts))

    async def _hire_of(self, hirer: Hirer, posts: Sequence[Post]) -> None:
        loop = asyncio.get_running_loop()
        for post in posts:
            post.timer = loop.call_later(self._come_s, self._give_up, post)
        try:
            async with self._turns.setdefault(id(hirer), asyncio.Lock()):
                listener = await self._listen(hirer)
                offers = []
                for post in posts:
                    self._invitations += 1
                    post.invitation = self._invitations
                    self._invited[post.invitation] = post
                    offers.append(Offer(post.bundle, listener.invite(post.invitation)))
                hands = await _aside(hirer.hire, offers)
        except Exception as error:
            for post in posts:
                self._fail(post, f"can't be hired: {error}")
            return
        for post, hand, number in zip(posts, hands, [post.invitation for post in posts], strict=True):
            if self._closing or post.state not in ("hiring", "here") or post.invitation != number:
                await _end_quietly(hand, gently=False)
            else:
                post.hand = hand
        self._watch()

    async def _listen(self, hirer: Hirer) -> Listener:
        listener = self._listeners.get(id(hirer))
        if listener is None:
            host = await _aside(hirer.reach)
            if self._probe is None:
                place = self.blobs.place
                self._probe = await _aside(direct.leave_probe, place) if place else b""
            told = welcome(self._beat_s, 6 * self._patience_s, self.blobs.place, self._probe)
            listener = self._listeners[id(hirer)] = Listener(host, told, self._take_in, self._refuse)
        return listener

    def _watch(self) -> None:
        """Look, as long as agents are on their way, whether they still are."""
        if self._watcher is None and not self._closing:
            self._watcher = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._watcher = None
        hiring = [post for post in self.posts if post.state == "hiring" and post.hand is not None]
        if hiring:
            self._keep(self._look_at(hiring))

    async def _look_at(self, posts: Sequence[Post]) -> None:
        for post in posts:
            if (hand := post.hand) is not None and (why := await _aside(hand.trouble)) and post.state == "hiring":
                self._fail(post, f"did not come: {why}")
        self._watch()

    def _give_up(self, post: Post) -> None:
        """It took too long."""
        if post.state == "hiring":
            self._keep(self._say_why(post, post.invitation))

    async def _say_why(self, post: Post, number: int) -> None:
        hand, why = post.hand, ""
        if hand is not None:
            with contextlib.suppress(Exception):  # then it is not known
                why = await _aside(hand.waits_for)
        if post.invitation == number:
            self._fail(post, f"({post.bundle}) did not come within {self._come_s:g} s" + (f": {why}" if why else ""))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the staff waits for before it closes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, post: Post, why: str) -> None:
        if post.state != "hiring":
            return
        self._let_go(post)
        post.state = "resting"
        post.timer = asyncio.get_running_loop().call_later(REST_S, self._end_rest, post)
        post.lose_all(why)
        self._tell_free()

    def _end_rest(self, post: Post) -> None:
        if post.state == "resting":
            post.state = "vacant"
            self._tell_free()

    # --- agents ---------------------------------------------------------------------------------------------------------

    def _take_in(self, number: int, link: Link, facts: AgentFacts) -> None:
        post = self._invited.pop(number, None)
        if post is None or post.invitation != number or post.state != "hiring" or self._closing:
            link.close()  # it is no longer waited for; the end of its connection tells it so
            return
        post.stop_timer()
        name = f"agent {post.number} on {facts.host}"
        post.agent = RemoteAgent(name, link, facts, self._beat_s, self._patience_s, lambda why: self._note_loss(post, why))
        post.state = "here"
        post.slots = post.bundle.cpu or facts.cores
        post.gpus = list(facts.gpus[: post.bundle.gpu] if post.bundle.gpu else facts.gpus)
        for worker in list(post.workers):
            post.agent.start(worker)
        self.note_room(post)
        self._tell_free()

    def _refuse(self, number: int, why: str) -> None:
        post = self._invited.pop(number, None)
        if post is not None and post.invitation == number:
            self._fail(post, f"is of no use: {why}")

    def _note_loss(self, post: Post, why: str) -> None:
        self._let_go(post)
        post.state = "vacant"
        post.lose_all(why)
        self._tell_free()

    def _dismiss(self, post: Post) -> None:
        """It has had no work for a while."""
        if post.state != "here" or post.used or post.agent is None:
            return
        agent = post.agent
        post.lose_all("was dismissed, since there was no work for it")
        agent.say_goodbye()
        self._let_go(post, gently=True)
        post.state = "vacant"

    def _let_go(self, post: Post, *, gently: bool = False) -> None:
        """Give the post's agent back, whatever became of it."""
        post.stop_timer()
        post.agent = None
        self._invited.pop(post.invitation, None)
        if (listener := self._listeners.get(id(post.hirer))) is not None:
            listener.withdraw(post.invitation)
        hand, post.hand = post.hand, None
        if hand is not None:
            self._keep(_end_quietly(hand, gently=gently))

    async def close(self) -> None:
        """End all agents, when the last pool has closed."""
        self._users -= 1
        if self._users > 0:
            return
        self._closing = True
        self._on_free.clear()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        for post in self.posts:
            agent = post.agent
            post.lose_all("was dismissed")
            if agent is not None:
                agent.say_goodbye()
            self._let_go(post, gently=agent is not None)
            post.state = "vacant"
        while self._tasks:
            await asyncio.wait(self._tasks)
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        await asyncio.gather(*(_aside(hirer.close) for hirer in self._hirers))


async def _aside(function: Callable[..., T], *args: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(_hiring, function, *args)


async def _end_quietly(hand: Hand, *, gently: bool) -> None:
    with contextlib.suppress(Exception):  # it is gone already, or the place where it was
        await _aside(lambda: hand.dismiss(gently=gently))
