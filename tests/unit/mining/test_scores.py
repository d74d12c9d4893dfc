import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from streetvision_core.mining._scores import entropy, logits_of, mistakenness

P = np.array([1e-6, 0.02, 0.3, 0.4999999, 0.5000001, 0.77, 0.999, 1 - 1e-6])


def test_logits_of__softmax_gives_the_answer_back() -> None:
    np.testing.assert_allclose(softmax(logits_of(P), axis=1)[:, 1], P, rtol=1e-6)


def test_entropy__is_that_of_the_logits_softmax() -> None:
    expected = [scipy_entropy(softmax(row)) for row in logits_of(P)]
    np.testing.assert_allclose(entropy(P), expected, atol=1e-12)


@pytest.mark.parametrize("label", [0, 1])
def test_mistakenness__as_fiftyone_defines_it(label: int) -> None:
    modulator = np.where((P > 0.5) == bool(label), -1.0, 1.0)
    confidence = np.exp([-scipy_entropy(softmax(row)) for row in logits_of(P)])
    np.testing.assert_allclose(mistakenness(P, np.full(len(P), label)), (modulator * confidence + 1) / 2, atol=1e-12)


def test_mistakenness__nothing_without_a_label() -> None:
    assert np.isnan(mistakenness(P, np.full(len(P), -1))).all()
