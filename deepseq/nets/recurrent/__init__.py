"""Recurrent nets over sequences: cells, whole sequences of them, stacks; every recurrent name in
one place.

``unroll`` runs any cell; ``rnn``, ``lstm`` and ``gru`` are the same for these cells, faster. Either
is a *layer*, ``(params, xs, carry, *, lengths) -> (carry, ys)``, of which ``bidirectional`` and
``stack`` make larger layers and ``divided`` one that runs on several devices."""

from deepseq.nets.recurrent.cells import (
    GRU,
    LSTM,
    RNN,
    GRUGates,
    LSTMGates,
    LSTMState,
    ProjectedLSTM,
    gru_cell,
    gru_gates,
    lstm_cell,
    lstm_gates,
    projected_lstm_cell,
    rnn_cell,
)
from deepseq.nets.recurrent.fused import gru, lstm, rnn
from deepseq.nets.recurrent.initialise import (
    gru_init,
    identity,
    lstm_init,
    orthogonal,
    rnn_init,
    uniform,
)
from deepseq.nets.recurrent.layers import (
    GRU_LAYER,
    LSTM_LAYER,
    RNN_LAYER,
    Dropout,
    Layer,
    Recurrence,
    as_layer,
    bidirectional,
    divided,
    each_step,
    learned_carry,
    stack,
    whole_sequence,
    with_dropped_state,
)
from deepseq.nets.recurrent.tbptt import chunk_gradient, tbptt
from deepseq.nets.recurrent.unroll import unroll, with_carries, with_gates

__all__ = [
    "Dropout",
    "GRU",
    "GRUGates",
    "GRU_LAYER",
    "LSTM",
    "LSTMGates",
    "LSTMState",
    "LSTM_LAYER",
    "Layer",
    "ProjectedLSTM",
    "RNN",
    "RNN_LAYER",
    "Recurrence",
    "as_layer",
    "bidirectional",
    "chunk_gradient",
    "divided",
    "each_step",
    "gru",
    "gru_cell",
    "gru_gates",
    "gru_init",
    "identity",
    "learned_carry",
    "lstm",
    "lstm_cell",
    "lstm_gates",
    "lstm_init",
    "orthogonal",
    "projected_lstm_cell",
    "rnn",
    "rnn_cell",
    "rnn_init",
    "stack",
    "tbptt",
    "uniform",
    "unroll",
    "whole_sequence",
    "with_carries",
    "with_dropped_state",
    "with_gates",
]
