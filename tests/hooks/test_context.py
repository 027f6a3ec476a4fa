import asyncio
import concurrent.futures
import threading

import pytest

import guardai


@pytest.fixture
def started(home):
    guardai.init(home=home, integrations=[])


def user():
    session = guardai.current()
    return session.principal.user if session else None


def test_thread_inherits_the_session_of_whoever_starts_it(started):
    seen = []
    with guardai.session(user="ann"):
        thread = threading.Thread(target=lambda: seen.append(user()))
        thread.start()
    thread.join()
    assert seen == ["ann"]


def test_thread_subclass_that_overrides_run_inherits_it_too(started):
    seen = []

    class Worker(threading.Thread):
        def run(self):
            seen.append(user())

    with guardai.session(user="ann"):
        worker = Worker()
        worker.start()
    worker.join()
    assert seen == ["ann"]


def test_pool_worker_born_in_one_session_does_not_keep_it(started):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with guardai.session(user="ann"):
            assert pool.submit(user).result() == "ann"
        assert pool.submit(user).result() is None
        with guardai.session(user="bob"):
            assert list(pool.map(lambda _: user(), range(3))) == ["bob"] * 3


def test_run_in_executor_and_to_thread_carry_the_session(started):
    async def main():
        loop = asyncio.get_running_loop()
        with guardai.session(user="ann"):
            return await loop.run_in_executor(None, user), await asyncio.to_thread(user)

    assert asyncio.run(main()) == ("ann", "ann")


def test_tasks_keep_their_own_sessions_while_they_take_turns(started):
    async def work(name):
        async with guardai.session(user=name):
            for _ in range(5):
                await asyncio.sleep(0)
                assert user() == name
        return name

    async def main():
        return await asyncio.gather(*(work(f"u{n}") for n in range(50)))

    assert len(asyncio.run(main())) == 50


def test_generator_that_is_suspended_inside_a_session_does_not_lend_it_to_its_consumer_for_good(started):
    async def stream():
        async with guardai.session(user="ann"):
            yield user()
            yield user()

    async def main():
        seen = [name async for name in stream()]
        return seen, user()

    assert asyncio.run(main()) == (["ann", "ann"], None)


def test_what_is_submitted_without_a_session_is_submitted_as_it_is(started):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(pow, 2, 5).result() == 32
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()


def test_thread_pool_worker_runs_each_task_as_its_submitter(started):
    from multiprocessing.pool import ThreadPool

    with guardai.session(user="ann"):
        pool = ThreadPool(1)
        assert pool.apply(user) == "ann"
    with pool:
        assert pool.apply(user) is None
        with guardai.session(user="bob"):
            assert pool.map(lambda _: user(), range(2)) == ["bob", "bob"]
            assert list(pool.imap(lambda _: user(), range(2))) == ["bob", "bob"]
