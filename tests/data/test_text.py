"""The bundled text as symbols."""

import numpy as np
import pytest

from deepseq.data import text


def test_text_can_be_read_back():
    data = text.load(1000)
    assert len(data.validation) == 1000 and len(data.train) > 100_000 and "sha256" in data.origin
    assert data.train.max() < len(data.alphabet) and sorted(set(data.alphabet)) == list(data.alphabet)
    read = "".join(data.alphabet[i] for i in data.train[:60_000])
    assert "statement" in read and "\n" in read
    joined = np.concatenate([text.load(0).train])
    np.testing.assert_array_equal(joined, np.concatenate([data.train, data.validation]))


def test_columns_go_on_where_they_ended():
    rows = text.columns(np.arange(11), 3)
    np.testing.assert_array_equal(rows, [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    for symbols, batch in ((np.arange(2), 3), (np.arange(2), 0)):
        with pytest.raises(ValueError, match="make no"):
            text.columns(symbols, batch)
    with pytest.raises(ValueError, match="validation=-1"):
        text.load(-1)
