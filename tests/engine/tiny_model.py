"""Makes a tiny llama model of random weights: a real file for a real engine, a few hundred KB.

The vocabulary is the byte-level fallback of SentencePiece plus some words, so any text tokenizes. The
rows of the output matrix for control and byte tokens are zero while the words' rows are random, so a
greedy decode always picks a word: text stays readable and a stream only ends at max_tokens.
"""

import sys
from pathlib import Path

import gguf
import numpy

EMBEDDING, HEADS, LAYERS, FEED_FORWARD, CONTEXT = 64, 4, 2, 128, 16384
WORDS = ["▁", *"abcdefghijklmnopqrstuvwxyz", "▁the", "▁a", "▁of", "▁turn", "pike", "▁road", "▁toll",
         "▁gate", "▁pays", "▁cart", "▁horse", "▁stone", "▁bridge", "▁runs", "▁past", "▁north", "▁and",
         "▁slow", "▁rain", "."]
TEMPLATE = ("{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
            "assistant:")


def vocabulary():
    """Tokens, their scores and their kinds, in the order of their ids."""
    kind = gguf.TokenType
    tokens = [("<unk>", 0.0, kind.UNKNOWN), ("<s>", 0.0, kind.CONTROL), ("</s>", 0.0, kind.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, kind.BYTE) for byte in range(256)]
    tokens += [(word, -float(index), kind.NORMAL) for index, word in enumerate(WORDS)]
    return tokens


def write(path, seed=7):
    """Writes the model to `path`; the same seed gives the same bytes."""
    random = numpy.random.default_rng(seed)
    tokens = vocabulary()
    first_word = len(tokens) - len(WORDS)

    def matrix(rows, columns, scale=1.0):
        return (random.standard_normal((rows, columns)) * scale / columns**0.5).astype("float32")

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("turnpike-tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    output = matrix(len(tokens), EMBEDDING, 8.0)
    output[:first_word] = 0
    writer.add_tensor("token_embd.weight", matrix(len(tokens), EMBEDDING, 8.0))
    writer.add_tensor("output_norm.weight", numpy.ones(EMBEDDING, dtype="float32"))
    writer.add_tensor("output.weight", output)
    for layer in range(LAYERS):
        name = f"blk.{layer}."
        writer.add_tensor(name + "attn_norm.weight", numpy.ones(EMBEDDING, dtype="float32"))
        writer.add_tensor(name + "ffn_norm.weight", numpy.ones(EMBEDDING, dtype="float32"))
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{name}{part}.weight", matrix(EMBEDDING, EMBEDDING))
        writer.add_tensor(name + "ffn_gate.weight", matrix(FEED_FORWARD, EMBEDDING))
        writer.add_tensor(name + "ffn_up.weight", matrix(FEED_FORWARD, EMBEDDING))
        writer.add_tensor(name + "ffn_down.weight", matrix(EMBEDDING, FEED_FORWARD))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]))
