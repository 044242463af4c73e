import pytest

from lightning_abkd.losses import TAID, AlphaBetaDivergence, Divergence
from tests._asserts import logits


def of_words(old, new):
    return rf"\w+\.{old} is now {new}; the old name will be removed in version 0\.3\."


def test_old_methods_are_the_new_ones_and_warn():
    loss, pair = AlphaBetaDivergence(0.2, 0.7), (logits(3, 5).float(), logits(3, 5, seed=1).float())
    with pytest.warns(DeprecationWarning, match=of_words("of_rows", "is_rowwise_mean")):
        assert loss.of_rows
    with pytest.warns(DeprecationWarning, match=of_words("rows", "row_values")):
        assert loss.rows(*pair).equal(loss.row_values(*pair))


def test_an_old_method_called_on_a_subclass_is_the_subclasses():
    loss = TAID(total_steps=3)
    with pytest.warns(DeprecationWarning, match="TAID.observe is now on_loss"):
        loss.observe(loss.t)
    assert loss.batches == 1


def test_an_override_of_an_old_name_warns_once_and_takes_the_place_of_the_new():
    with pytest.warns(DeprecationWarning, match=of_words("observe", "on_loss")) as warned:

        class Counting(AlphaBetaDivergence):
            calls = 0

            def observe(self, loss):
                self.calls += 1

    loss = Counting()
    loss(logits(3, 5), logits(3, 5, seed=1))
    assert loss.calls == 1
    assert len(warned) == 1
    assert warned[0].filename == __file__


def test_super_works_by_the_old_name():
    with pytest.warns(DeprecationWarning, match="Slow.observe is now on_loss"):

        class Slow(TAID):
            def observe(self, loss):
                super().observe(loss)

    loss = Slow(total_steps=3)
    with pytest.warns(DeprecationWarning, match="TAID.observe is now on_loss"):
        loss.on_loss(loss.t)
    assert loss.batches == 1


def test_an_old_property_may_be_overridden():
    with pytest.warns(DeprecationWarning, match=of_words("of_rows", "is_rowwise_mean")):

        class Coupled(AlphaBetaDivergence):
            @property
            def of_rows(self):
                return False

    assert not Coupled().is_rowwise_mean


def test_an_old_method_of_a_mixin_is_called():
    class Counter:
        batches = 0

        def observe(self, loss):
            self.batches += 1

    with pytest.warns(DeprecationWarning, match=of_words("observe", "on_loss")):

        class Counted(Counter, AlphaBetaDivergence): ...

    loss = Counted()
    loss(logits(3, 5), logits(3, 5, seed=1))
    assert loss.batches == 1


@pytest.mark.filterwarnings("error")
def test_new_names_warn_of_nothing():
    class Quiet(Divergence):
        def on_loss(self, loss):
            self.last = loss

        def pointwise(self, log_p, log_q):
            return (log_p - log_q).abs().sum(-1)

    loss = Quiet()
    loss(logits(3, 5), logits(3, 5, seed=1))
    assert loss.last > 0
    assert loss.is_rowwise_mean
