"""The compact decoder against a plain transformer written out, and the invariances that serving relies on."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape, DecoderLayer, KeysValues

SHAPE = CompactShape(values=11, width=12, heads=3, layers=2, feed_forward=20)


@pytest.fixture
def decoder() -> CompactDecoder:
    torch.manual_seed(7)
    made = CompactDecoder(SHAPE)
    for parameter in made.parameters():  # biases and norms are not at their neutral start either
        torch.nn.init.normal_(parameter, std=0.4)
    return made.eval()


def _inputs(texts: int = 3, beams: int = 2, tokens: int = 4, words: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    prefixes = torch.randint(SHAPE.values, (texts, beams, tokens))
    prefixes[:, :, 0] = SHAPE.side_tokens[0]
    hidden = torch.randn(texts, words, SHAPE.width)
    mask = torch.ones(texts, words, dtype=torch.int64)
    mask[1:, 3:] = 0
    return prefixes, hidden, mask


def _heads(x: Tensor) -> list[Tensor]:
    return list(torch.chunk(x, SHAPE.heads, dim=-1))


def _attention(queries: Tensor, keys: Tensor, values: Tensor, allowed: list[list[int]]) -> Tensor:
    """Softmax attention of each query over the places it may see, head by head, place by place."""
    rows = []
    for at, places in enumerate(allowed):
        parts = []
        for q, k, v in zip(_heads(queries[at]), _heads(keys), _heads(values), strict=True):
            weights = torch.stack([q @ k[place] for place in places]) / math.sqrt(len(q))
            parts.append((weights.softmax(0)[:, None] * v[places]).sum(0))
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def _plain_layer(layer: DecoderLayer, x: Tensor, hidden: Tensor) -> Tensor:
    """One layer over one prefix (tokens, width) and one text without padding (words, width)."""
    q, k, v = layer.self_in(layer.norms[0](x)).chunk(3, dim=-1)
    x = x + layer.self_out(_attention(q, k, v, [list(range(at + 1)) for at in range(len(x))]))
    k, v = layer.cross_memory(hidden).chunk(2, dim=-1)
    everything = [list(range(len(hidden)))] * len(x)
    x = x + layer.cross_out(_attention(layer.cross_query(layer.norms[1](x)), k, v, everything))
    answer: Tensor = x + layer.feed_out(torch.nn.functional.gelu(layer.feed_in(layer.norms[2](x))))
    return answer


def test_logits_are_those_of_a_plain_transformer(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    with torch.inference_mode():
        found = decoder(prefixes, decoder.memory(hidden), mask)
        assert found.shape == (3, 2, 4, SHAPE.values + 1)
        for text in range(3):
            words = hidden[text, : int(mask[text].sum())]
            for beam in range(2):
                x = decoder.tokens.weight[prefixes[text, beam]] + decoder.positions.weight[:4]
                for layer in decoder.layers:
                    assert isinstance(layer, DecoderLayer)
                    x = _plain_layer(layer, x, words)
                x = decoder.norm(x)
                expected = decoder.scale * (x @ decoder.tokens.weight[: SHAPE.values + 1].T) + decoder.bias
                torch.testing.assert_close(found[text, beam], expected, rtol=1e-4, atol=1e-4)


def test_memory_is_made_once_for_all_beams_and_steps(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    memory = decoder.memory(hidden)
    assert [part.shape for layer in memory for part in layer] == [(3, SHAPE.heads, 5, 4)] * 2 * SHAPE.layers
    with torch.inference_mode():
        together = decoder(prefixes, memory, mask)
        for text in range(3):
            part = slice(text, text + 1)
            alone = decoder(prefixes[part], decoder.memory(hidden[part]), mask[part])
            torch.testing.assert_close(together[part], alone, rtol=1e-5, atol=1e-5)


def test_later_tokens_do_not_change_earlier_logits(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    changed = prefixes.clone()
    changed[:, :, 2:] = (changed[:, :, 2:] + 1) % SHAPE.values
    with torch.inference_mode():
        memory = decoder.memory(hidden)
        before, after = decoder(prefixes, memory, mask), decoder(changed, memory, mask)
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, :, 2:], after[:, :, 2:], atol=1e-2)


def test_earlier_tokens_and_the_side_do_change_later_logits(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    other_side, swapped = prefixes.clone(), prefixes.clone()
    other_side[:, :, 0] = SHAPE.side_tokens[1]
    swapped[:, :, 1], swapped[:, :, 2] = 3, 5
    turned = swapped.clone()
    turned[:, :, 1], turned[:, :, 2] = 5, 3
    with torch.inference_mode():
        memory = decoder.memory(hidden)
        assert not torch.allclose(decoder(prefixes, memory, mask), decoder(other_side, memory, mask), atol=1e-2)
        assert not torch.allclose(
            decoder(swapped, memory, mask)[:, :, -1], decoder(turned, memory, mask)[:, :, -1], atol=1e-3
        )


def _spread(past: list[KeysValues], parents: Tensor) -> list[KeysValues]:
    """The past of beams that go on from the beams `parents`."""
    return [(keys[:, parents], values[:, parents]) for keys, values in past]


def _steps(decoder: CompactDecoder, prefixes: Tensor, memory: list[KeysValues], mask: Tensor) -> list[Tensor]:
    """The logits after each token, the tokens given one by one."""
    texts, beams, tokens = prefixes.shape
    past = _spread(decoder.empty_past(texts), torch.zeros(beams, dtype=torch.int64))
    answers = []
    for at in range(tokens):
        hidden, past = decoder.step(prefixes[:, :, at], torch.tensor([at]), memory, mask, past)
        shapes = {part.shape for layer in past for part in layer}
        assert shapes == {(texts, beams, SHAPE.heads, at + 1, SHAPE.width // SHAPE.heads)}
        answers.append(decoder.logits(hidden))
    return answers


def test_one_token_at_a_time_is_the_full_answer(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    with torch.inference_mode():
        memory = decoder.memory(hidden)
        answers = torch.stack(_steps(decoder, prefixes, memory, mask), 2)
        torch.testing.assert_close(answers, decoder(prefixes, memory, mask), rtol=1e-5, atol=1e-5)


def test_the_past_follows_the_beam_that_is_continued(decoder: CompactDecoder) -> None:
    _, text, mask = _inputs()
    memory = decoder.memory(text[:1])
    opening = SHAPE.side_tokens[1]
    before = torch.tensor([[[opening, 1], [opening, 2], [opening, 3]]])
    past = _spread(decoder.empty_past(1), torch.zeros(3, dtype=torch.int64))
    with torch.inference_mode():
        for at in (0, 1):
            _, past = decoder.step(before[:, :, at], torch.tensor([at]), memory, mask[:1], past)
        parents = torch.tensor([2, 2, 0])
        hidden, _ = decoder.step(torch.tensor([[4, 5, 4]]), torch.tensor([2]), memory, mask[:1], _spread(past, parents))
        logits = decoder.logits(hidden)
        whole = torch.tensor([[[opening, 3, 4], [opening, 3, 5], [opening, 1, 4]]])
        torch.testing.assert_close(logits, decoder(whole, memory, mask[:1])[:, :, -1], rtol=1e-5, atol=1e-5)


def test_padding_changes_nothing_whatever_it_holds(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    noise = 50 * torch.randn(3, 4, SHAPE.width)
    with torch.inference_mode():
        short = decoder(prefixes, decoder.memory(hidden), mask)
        padded = torch.cat([hidden, noise], 1)
        longer = torch.cat([mask, torch.zeros(3, 4, dtype=torch.int64)], 1)
        torch.testing.assert_close(decoder(prefixes, decoder.memory(padded), longer), short, rtol=1e-5, atol=1e-5)


def test_beams_do_not_see_each_other(decoder: CompactDecoder) -> None:
    prefixes, hidden, mask = _inputs()
    with torch.inference_mode():
        memory = decoder.memory(hidden)
        both = decoder(prefixes, memory, mask)
        turned = decoder(prefixes.flip(1), memory, mask)
    torch.testing.assert_close(both.flip(1), turned, rtol=1e-5, atol=1e-5)


def test_the_decoder_starts_as_two_towers() -> None:
    """Before a step is trained, the first logits are the sharpness times the cosine of text and value."""
    shape = CompactShape(values=40, width=48, heads=6, layers=2, feed_forward=24)
    torch.manual_seed(0)
    decoder = CompactDecoder(shape).eval()
    vectors = torch.nn.functional.normalize(torch.randn(40, 48), dim=1)
    vectors -= vectors.mean(1, keepdim=True)  # the last norm takes the mean off a text's vector
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    decoder.initialise(vectors)
    hidden = 5 * torch.randn(3, 7, 48)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    opening = torch.full((3, 1, 1), shape.side_tokens[1])
    with torch.inference_mode():
        logits = decoder(opening, decoder.memory(hidden), mask)[:, 0, 0, :40]
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        pooled = pooled - pooled.mean(1, keepdim=True)
        cosines = torch.nn.functional.normalize(pooled, dim=1) @ vectors.T
    torch.testing.assert_close(logits, 8 * cosines, atol=0.15, rtol=0)  # side and position say a little


def test_closing_and_side_tokens_stand_behind_the_values() -> None:
    assert SHAPE.end == 11
    assert SHAPE.side_tokens == (12, 13)
    assert CompactDecoder(SHAPE).tokens.num_embeddings == 14
    assert CompactShape(**SHAPE.as_dict()) == SHAPE


def test_six_values_fit() -> None:
    decoder = CompactDecoder(SHAPE).eval()
    prefixes = torch.tensor([[[SHAPE.side_tokens[0], 0, 1, 2, 3, 4, 5]]])
    _, hidden, mask = _inputs(texts=1)
    with torch.inference_mode():
        assert decoder(prefixes, decoder.memory(hidden), mask).isfinite().all()
